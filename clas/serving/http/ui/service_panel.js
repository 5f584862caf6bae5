// What runs here: the state in the head, warnings, and the facts at the end of the page.

import { token } from "./api.js";
import { currentLanguage, formatBytes, formatNumber, t } from "./i18n.js";
import { warningInChinese } from "./warnings.js";

const ASK_AGAIN_MS = 2_000; // while something is missing
const LOOK_AGAIN_MS = 10_000; // whether the server is still there

const $ = (id) => document.getElementById(id);

/**
 * The service as it was when it was asked last, and what the page says of it.
 *
 * state: "Connecting", "Ready", "Loading", "Locked" or "Unreachable"
 * info: the answer of `GET /`; null before the first one
 */
export class ServicePanel {
  state = "Connecting";
  info = null;
  #service;
  #onInfo;
  #asking = null;
  #timer = 0;

  /** @param onInfo Called with each answer. */
  constructor(service, onInfo) {
    this.#service = service;
    this.#onInfo = onInfo;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.state !== "Locked") {
        this.connect();
      }
    });
  }

  /** Ask the server now, and again from time to time as long as the page is looked at. */
  connect() {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #ask() {
    clearTimeout(this.#timer);
    try {
      this.info = await this.#service.describe();
      this.state = this.info.state === "ready" ? "Ready" : "Loading";
      this.#onInfo(this.info);
    } catch (error) {
      this.state = error.kind === "unauthorized" ? "Locked" : "Unreachable";
    }
    if (this.state !== "Locked") {
      const isWhole = this.state === "Ready" && this.info.predictors.serving >= this.info.predictors.wanted;
      const again = () => document.hidden || this.connect();
      this.#timer = setTimeout(again, isWhole ? LOOK_AGAIN_MS : ASK_AGAIN_MS);
    }
    this.render();
  }

  /** The token has been forgotten. */
  lock() {
    clearTimeout(this.#timer);
    this.state = "Locked";
    this.render();
  }

  render() {
    $("state").dataset.state = this.state;
    setText($("state"), t(`state${this.state}`));
    $("token").hidden = !token() && this.state !== "Locked";
    $("token").textContent = t(token() ? "tokenForget" : "tokenUse");
    $("about").hidden = !this.info;
    if (this.info) {
      showWarnings(this.info.model?.warnings ?? []);
      fill($("facts"), this.info.model ? modelFacts(this.info) : []);
      fill($("more-facts"), operatorFacts(this.info));
    }
  }
}

/** Set a text; as it is looked at again and again, a screen reader is to hear of changes only. */
function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

function showWarnings(warnings) {
  $("warnings").hidden = !warnings.length;
  const items = warnings.map((text) => {
    const item = document.createElement("li");
    item.textContent = currentLanguage() === "zh" ? warningInChinese(text) : text;
    return item;
  });
  replace($("warnings"), items);
}

function modelFacts({ model, limits }) {
  const shape = model.input_shape.map((size) => size ?? "N").join(" × ");
  return [
    ["modelName", `${model.name} (${model.format})`],
    ["modelClasses", formatNumber(model.classes)],
    ["modelInput", shape],
    ["modelForm", model.main_indicator],
    ["device", model.device],
    ["largest", formatBytes(limits.max_request_bytes)],
  ];
}

function operatorFacts({ model, limits, predictors, version, workers }) {
  const computing = model ? [["engine", model.engine], ["precision", model.precision], ["threads", model.threads]] : [];
  return [
    ...computing,
    ["predictors", `${predictors.serving} / ${predictors.wanted}`],
    ["workers", workers],
    ["queue", t("images", { n: formatNumber(limits.max_queue_images) })],
    ["timeout", t("seconds", { n: formatNumber(limits.timeout_s, 1) })],
    ["version", version],
  ];
}

function fill(list, facts) {
  const pairs = facts.map(([key, value]) => {
    const pair = document.createElement("div");
    const [term, description] = ["dt", "dd"].map((tag) => document.createElement(tag));
    term.textContent = t(key);
    description.textContent = value;
    pair.append(term, description);
    return pair;
  });
  replace(list, pairs);
}

/** Replace what a list holds, unless that is the same: somebody may be selecting it. */
function replace(list, items) {
  const next = list.cloneNode();
  next.append(...items);
  if (!next.isEqualNode(list)) {
    list.replaceChildren(...next.childNodes);
  }
}
