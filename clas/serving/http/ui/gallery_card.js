// A card of the gallery: shows one image in each of its states.

import { formatBytes, formatNumber, formatScore, t, translate } from "./i18n.js";

const PHASES = ["prepare", "queue", "predict", "rest"];

/**
 * An image and its card in the gallery.
 *
 * state: "waiting", "sending", "retrying", "done" or "failed"
 * topK: the number of results requested, null for the server's default
 */
export class Card {
  state = "waiting";
  topK = null;
  #answer = null;
  #error = null;
  #url;

  constructor(file, { onRemove, onAgain, onRequest }) {
    this.file = file;
    this.canceller = new AbortController();
    this.element = document.getElementById("card-template").content.firstElementChild.cloneNode(true);
    this.#url = URL.createObjectURL(file);
    const image = this.#find("img");
    image.addEventListener("error", () => this.element.classList.add("unseen"));
    image.addEventListener("load", () => {
      this.#find(".frame").style.setProperty("--ratio", image.naturalWidth / image.naturalHeight || 1);
    });
    image.src = this.#url;
    this.#find("h3").textContent = file.name;
    this.#find("h3").title = file.name;
    this.#find(".remove").addEventListener("click", () => onRemove(this));
    this.#find(".again").addEventListener("click", () => onAgain(this));
    this.#find(".show-request").addEventListener("click", () => onRequest(this));
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  succeed(answer) {
    this.#answer = answer;
    this.#error = answer.prediction.error ?? null;
    this.state = this.#error === null ? "done" : "failed";
  }

  /** @param error A ServiceError. */
  fail(error) {
    this.#error = error;
    this.state = "failed";
  }

  /** The number of results received; Infinity if the model has no more. */
  get known() {
    const count = this.#answer?.prediction.class_ids.length ?? 0;
    return this.topK !== null && count < this.topK ? Infinity : count;
  }

  /** Remove the card and cancel its request. */
  remove() {
    this.canceller.abort();
    URL.revokeObjectURL(this.#url);
    this.element.remove();
  }

  /** Show the state; of results, the best `shown` classes. */
  render(shown) {
    const { element, file } = this;
    const isBusy = this.state !== "done" && this.state !== "failed";
    const state = isBusy && this.#answer ? "done" : this.state; // more results are coming: keep showing those there are
    translate(element);
    element.dataset.state = state;
    element.setAttribute("aria-busy", isBusy);
    this.#find(".size").textContent = formatBytes(file.size);
    this.#find(".remove").setAttribute("aria-label", t("remove", { name: file.name }));
    this.#find(".show-request").setAttribute("aria-label", t("requestLabel", { name: file.name }));
    if (state === "done") {
      this.#renderResults(shown);
      this.#renderTime();
    } else if (state === "failed") {
      this.#renderFailure();
    } else {
      this.#find(".progress-text").textContent = t(state);
    }
  }

  #renderFailure() {
    const { kind = "input", detail = this.#error } = this.#error;
    const local = { large: "error_largeDetail", unreachable: "error_unreachableDetail" }[kind];
    const values = this.#error.values ?? {};
    this.#find(".failure strong").textContent = t(`error_${kind}`);
    this.#find(".detail").textContent = detail || (local ? t(local, values) : "");
  }

  #renderResults(shown) {
    const { prediction } = this.#answer;
    const own = ownRows(prediction);
    const rows = own ?? classRows(prediction, shown);
    const list = this.#find(".results");
    list.classList.toggle("unranked", own !== null);
    list.replaceChildren(...rows);
    list.setAttribute("aria-label", t("resultsOf", { name: this.file.name }));
    this.#find(".no-results").hidden = rows.length > 0;
  }

  #renderTime() {
    const { phases } = this.#answer;
    const told = PHASES.filter((name) => name in phases);
    this.#find(".total").textContent = t("total", { ms: formatNumber(phases.total) });
    this.#find(".phases").replaceChildren(
      ...told.map((name) => {
        const digits = phases[name] < 10 ? 1 : 0;
        return span(`phase ${name}`, `${t(`phase_${name}`)} ${formatNumber(phases[name], digits)}`);
      }),
    );
  }
}

/** A row for each class, the best `shown` ones. */
function classRows({ class_ids: ids, scores, label_names: names }, shown) {
  const isShare = scores.every((score) => score >= 0 && score <= 1);
  const top = isShare ? 1 : Math.max(...scores.map(Math.abs));
  return ids.slice(0, shown).map((id, rank) => {
    const row = document.createElement("li");
    row.append(
      span("label", names[rank] || t("classNumber", { id })),
      span("score", formatScore(scores[rank], isShare)),
      bar(Math.max(scores[rank], 0) / top),
    );
    row.title = t("classNumber", { id });
    return row;
  });
}

/** A row for each attribute or group, or one for a number or for features; null for classes. */
function ownRows({ attributes, groups, value, feature }) {
  if (attributes !== undefined) {
    return [attributes].flat().map((text) => textRow(text));
  }
  if (groups !== undefined) {
    const answers = Object.entries(groups);
    const isShare = answers.every(([, { score }]) => score >= 0 && score <= 1);
    return answers.map(([name, { label, score }]) => textRow(`${name}: ${label}`, formatScore(score, isShare)));
  }
  if (value !== undefined) {
    return [textRow(formatNumber(value, 15))];
  }
  if (feature === undefined) {
    return null;
  }
  const kind = typeof feature === "string" ? "featureCharacters" : "featureNumbers";
  return [textRow(t(kind, { n: formatNumber(feature.length) }))];
}

function textRow(text, score = "") {
  const row = document.createElement("li");
  row.append(span("label", text), span("score", score));
  return row;
}

function span(className, text) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}

/** Hidden from screen readers, which read the score beside it. */
function bar(share) {
  const element = span("bar", "");
  element.setAttribute("aria-hidden", "true");
  element.style.setProperty("--share", share);
  return element;
}
