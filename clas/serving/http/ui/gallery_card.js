// A card of the gallery: shows one image in each of its states.

import { ServiceError } from "./api.js";
import { asJpeg, forServer } from "./conversion.js";
import { currentLanguage, formatBytes, formatNumber, t, translate } from "./i18n.js";
import { frame } from "./image_view.js";
import { inChinese } from "./reasons.js";
import { classRows, ownRows, span } from "./result_rows.js";

const PHASES = ["prepare", "queue", "predict", "rest"];
const LASTING = ["input", "large"]; // failures that sending the same file again doesn't mend

/**
 * An image and its card in the gallery.
 *
 * state: "waiting", "sending", "retrying", "done" or "failed"
 * topK: the number of results requested, null for the server's default
 * sent: the file as it is sent, once that is known
 */
export class Card {
  state = "waiting";
  topK = null;
  sent = null;
  #preprocess = null;
  #answer = null;
  #error = null;

  constructor(file, { onRemove, onAgain, onEnlarge, onRequest }) {
    this.file = file;
    this.name = file.name;
    this.url = URL.createObjectURL(file);
    this.canceller = new AbortController();
    this.element = document.getElementById("card-template").content.firstElementChild.cloneNode(true);
    this.element.addEventListener("animationend", () => this.element.classList.remove("new")); // not when it is moved
    const image = this.#find("img");
    image.addEventListener("error", () => this.element.classList.add("unseen"));
    image.addEventListener("load", () => this.#renderFrame());
    image.src = this.url;
    this.#find("h3").textContent = this.name;
    this.#find("h3").title = file.relativePath ?? this.name;
    this.#find(".enlarge").addEventListener("click", () => onEnlarge(this));
    this.#find(".remove").addEventListener("click", () => onRemove(this));
    this.#find(".again").addEventListener("click", () => onAgain(this));
    this.#find(".show-request").addEventListener("click", () => onRequest(this));
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  /** What `GET /` says of the model's preprocessing. */
  get preprocess() {
    return this.#preprocess;
  }

  set preprocess(preprocess) {
    this.#preprocess = preprocess;
    this.#renderFrame();
  }

  /** The file as the server takes it; converted once. */
  async fileToSend() {
    this.sent ??= await forServer(this.file);
    return this.sent;
  }

  /** Have a JPEG sent in place of the file; returns whether the browser can make one. */
  async convert() {
    this.sent = (await asJpeg(this.file)) ?? this.file;
    return this.sent !== this.file;
  }

  succeed(answer) {
    this.#answer = answer;
    const { error } = answer.prediction;
    this.#error = error === undefined ? null : new ServiceError("input", error);
    this.state = this.#error === null ? "done" : "failed";
  }

  /**
   * Cancel the request, and forget its answer: another model is to be asked.
   *
   * @param height That of the card in pixels, which it keeps until there is another answer: nothing is to jump.
   */
  forget(height) {
    this.canceller.abort();
    this.canceller = new AbortController();
    this.#answer = null;
    this.#error = null;
    this.state = "waiting";
    this.element.style.setProperty("min-height", `${height}px`);
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

  get isBusy() {
    return this.state !== "done" && this.state !== "failed";
  }

  /** Whether the image failed, and may be classified when it is sent again. */
  get canBeRetried() {
    return this.state === "failed" && !LASTING.includes(this.#error.kind);
  }

  /** The prediction with its best `shown` classes; one with an `error` if it failed. */
  result(shown) {
    if (this.state === "failed") {
      return { error: this.#error.detail || t(`error_${this.#error.kind}`) };
    }
    const best = ["class_ids", "scores", "label_names"].map((key) => [key, this.#answer.prediction[key]]);
    const { groups } = this.#answer.prediction; // which has one class for each
    const cut = Object.fromEntries(best.map(([key, list]) => [key, groups ? list : list.slice(0, shown)]));
    return { ...this.#answer.prediction, ...cut };
  }

  /** Copies of what the card says of its image. */
  said() {
    const name = this.state === "failed" ? ".failure > :not(button)" : this.#answer ? ".results" : ".progress-text";
    return [...this.element.querySelectorAll(name)].map((element) => element.cloneNode(true));
  }

  /** Remove the card and cancel its request. */
  remove() {
    this.canceller.abort();
    URL.revokeObjectURL(this.url);
    this.element.remove();
  }

  /** Show the state; of results, the best `shown` classes. */
  render(shown) {
    const { element, file, isBusy, name } = this;
    const state = isBusy && this.#answer ? "done" : this.state; // more results are coming: keep showing those there are
    translate(element);
    element.dataset.state = state;
    element.setAttribute("aria-busy", isBusy);
    if (!isBusy) {
      element.style.removeProperty("min-height");
    }
    this.#find(".size").textContent = formatBytes(file.size);
    this.#find(".converted").hidden = this.sent === null || this.sent === file;
    this.#find(".enlarge").setAttribute("aria-label", t("enlarge", { name }));
    this.#find(".remove").setAttribute("aria-label", t("remove", { name }));
    this.#find(".show-request").setAttribute("aria-label", t("requestLabel", { name }));
    if (state === "done") {
      this.#renderResults(shown);
      this.#renderTime();
    } else if (state === "failed") {
      this.#renderFailure();
    } else {
      this.#find(".progress-text").textContent = t(state);
    }
  }

  #renderFrame() {
    this.#find(".frame").style.setProperty("--ratio", this.#ratio());
    frame(this.#find(".picture"), this.preprocess);
  }

  #ratio() {
    const { naturalWidth, naturalHeight } = this.#find("img");
    return naturalWidth / naturalHeight || 4 / 3;
  }

  #renderFailure() {
    const { kind, detail } = this.#error;
    const local = { large: "error_largeDetail", model: "error_modelDetail", unreachable: "error_unreachableDetail" }[kind];
    const own = local ? t(local, this.#error.values) : "";
    const text = kind === "model" ? own : detail || own; // why a model isn't available is said once, above all cards
    this.#find(".failure strong").textContent = t(`error_${kind}`);
    this.#find(".detail").textContent = currentLanguage() === "zh" ? inChinese(text) : text;
    this.#find(".detail").title = detail || own;
    this.#find(".hint").hidden = !text.includes("it is none of"); // those that the browser shows were converted
    this.#find(".again").hidden = !this.canBeRetried;
  }

  #renderResults(shown) {
    const { prediction } = this.#answer;
    const own = ownRows(prediction);
    const rows = own ?? classRows(prediction, shown);
    const list = this.#find(".results");
    list.classList.toggle("unranked", own !== null);
    list.replaceChildren(...rows);
    list.setAttribute("aria-label", t("resultsOf", { name: this.name }));
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
