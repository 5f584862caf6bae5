// Client of the server: description and predictions, with token and retries.

const TOKEN_KEY = "clas_system_token";
const PREDICTIONS = "predict"; // the folder of the models' addresses
const RETRY_FOR_MS = 60_000;
const LONGEST_PAUSE_S = 30;
const UNAVAILABLE = /^the model \S+ is unavailable: /; // and will be until somebody mends it
const DESCRIBE_MS = 10_000; // a server that doesn't describe itself in this time can't be reached

/** The server's base URL: two folders above this file, whether the page's own URL ends in a slash or not. */
export const BASE = new URL("../../", import.meta.url);

/** A failed request: `kind` is the end of its text's key, `detail` the server's message, if there is one. */
export class ServiceError extends Error {
  constructor(kind, detail = "") {
    super(detail || kind);
    this.kind = kind;
    this.detail = detail;
  }
}

/** The current token, "" for none; kept until the tab is closed. */
export function token() {
  return sessionStorage.getItem(TOKEN_KEY) ?? "";
}

export function forgetToken() {
  sessionStorage.removeItem(TOKEN_KEY);
}

/** The URL that images for a model are sent to. */
export function predictUrl(model, topK) {
  const url = new URL(`${PREDICTIONS}/${model}`, BASE);
  if (topK !== null) {
    url.searchParams.set("top_k", topK);
  }
  return url;
}

/** The media type to send a file with. */
export function mediaType(file) {
  return file.type.startsWith("image/") ? file.type : "application/octet-stream";
}

/** @param askToken Asks the user for a token; gets whether one was refused, and resolves to null without one. */
export class Service {
  #askToken;
  #asking = null;
  #isDeclined = false;

  constructor(askToken) {
    this.#askToken = askToken;
  }

  /** Allow asking for a token again after the user declined: a new action has begun. */
  mayAskAgain() {
    this.#isDeclined = false;
  }

  /** Return the description of the service, from `GET /`. */
  async describe() {
    const response = await this.#fetch(BASE, {});
    if (!response.ok) {
      throw await refusal(response);
    }
    return readJson(response);
  }

  /**
   * Classify one image.
   *
   * @param model The model's name.
   * @param onPause Called before a retry, when the server is busy.
   * @returns prediction (class_ids, scores, label_names), and phases: milliseconds by name, `rest` and `total`.
   */
  async predict(model, file, topK, signal, onPause) {
    const headers = { "Content-Type": mediaType(file) };
    const deadline = performance.now() + RETRY_FOR_MS;
    for (;;) {
      const start = performance.now();
      const request = { method: "POST", body: file, headers, signal };
      const response = await this.#fetch(predictUrl(model, topK), request);
      if (response.ok) {
        const answer = await readJson(response);
        const total = performance.now() - start;
        return { prediction: answer.results.prediction[0], phases: phasesOf(response, total) };
      }
      const error = await refusal(response);
      const pauseMs = 1000 * Math.min(Number(response.headers.get("Retry-After")) || 1, LONGEST_PAUSE_S);
      if (response.status !== 503 || error.kind === "model" || performance.now() + pauseMs > deadline) {
        throw error;
      }
      onPause();
      await pause(pauseMs * (1 + Math.random() / 4), signal); // jitter, so that retries spread out
    }
  }

  /** Like `fetch`, with the token; asks for another one while the server refuses it. */
  async #fetch(url, request) {
    for (;;) {
      const used = token();
      const headers = { ...request.headers, ...(used && { Authorization: `Bearer ${used}` }) };
      const signal = request.signal ?? AbortSignal.timeout(DESCRIBE_MS);
      const response = await fetch(url, { ...request, headers, signal, cache: "no-store" }).catch((error) => {
        throw request.signal?.aborted ? error : new ServiceError("unreachable");
      });
      if (response.status !== 401) {
        return response;
      }
      if (token() === used && !(await this.#newToken(used))) {
        throw await refusal(response);
      }
    }
  }

  /** Ask once for all concurrent requests, and not again after the user has declined. */
  #newToken(refused) {
    if (this.#isDeclined) {
      return false;
    }
    this.#asking ??= this.#askToken(Boolean(refused)).then((given) => {
      this.#asking = null;
      if (given) {
        sessionStorage.setItem(TOKEN_KEY, given);
      }
      this.#isDeclined = !given;
      return Boolean(given);
    });
    return this.#asking;
  }
}

/** The error for a failed response; one that isn't the service's JSON, such as a proxy's page, has no detail. */
async function refusal(response) {
  const body = await response.json().catch(() => ({}));
  const kinds = { 401: "unauthorized", 404: "model", 408: "unavailable", 413: "large", 429: "unavailable", 503: "unavailable" };
  const detail = typeof body.msg === "string" ? body.msg : `HTTP ${response.status}`;
  const kind = kinds[response.status] ?? (response.status < 500 ? "input" : "server");
  return new ServiceError(UNAVAILABLE.test(detail) ? "model" : kind, detail);
}

async function readJson(response) {
  return response.json().catch(() => {
    throw new ServiceError("server", `HTTP ${response.status}`);
  });
}

/** Milliseconds by phase, from the header Server-Timing; `rest` is the remainder, the transfer. */
function phasesOf(response, total) {
  const phases = {};
  let rest = total;
  for (const entry of (response.headers.get("Server-Timing") ?? "").split(",")) {
    const found = /^\s*(\w+);dur=([\d.]+)/.exec(entry);
    if (found) {
      phases[found[1]] = Number(found[2]);
      rest -= phases[found[1]];
    }
  }
  return { ...phases, rest: Math.max(rest, 0), total };
}

function pause(ms, signal) {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
