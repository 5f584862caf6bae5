// What runs here: the state in the head, warnings, and the facts at the end of the page.

import { ServiceError, token } from "./api.js";
import { currentLanguage, formatBytes, formatNumber, t } from "./i18n.js";
import { ModelChoice } from "./model_choice.js";
import { isRefusing, stateName, stateText } from "./model_state.js";
import { replace, setText } from "./updates.js";
import { warningInChinese } from "./warnings.js";

const ASK_AGAIN_MS = 2_000; // while something is missing
const LOOK_AGAIN_MS = 10_000; // whether the server is still there

const $ = (id) => document.getElementById(id);

/**
 * The service as it was when it was asked last, and what the page says of it.
 *
 * state: "Connecting", "Locked", "Unreachable", "Empty" (there is no model), or that of the model (see `stateName`)
 * info: the answer of `GET /`; null before the first one
 * choice: the models in it, and which one is chosen
 */
export class ServicePanel {
  state = "Connecting";
  info = null;
  choice = new ModelChoice(() => {
    this.#show();
    this.connect();
  });
  #service;
  #onModel;
  #asking = null;
  #error = null;
  #timer = 0;

  /** @param onModel Called with the chosen model as in `GET /`, null for none, each time the server was asked. */
  constructor(service, onModel) {
    this.#service = service;
    this.#onModel = onModel;
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
      this.choice.update(this.info);
      this.#show();
    } catch (error) {
      this.#error = error;
      this.state = error.kind === "unauthorized" ? "Locked" : "Unreachable";
      this.render();
    }
    if (this.state !== "Locked") {
      const isSettled = this.state !== "Unreachable" && !this.info.models.some(isComing);
      const again = () => document.hidden || this.connect();
      this.#timer = setTimeout(again, isSettled ? LOOK_AGAIN_MS : ASK_AGAIN_MS);
    }
  }

  #show() {
    const { current } = this.choice;
    this.state = current ? stateName(current) : "Empty";
    this.#onModel(current);
    this.render();
  }

  /**
   * Return the name of the model to ask, as soon as the server has said what it serves.
   *
   * @throws ServiceError The server doesn't say so, or it doesn't serve the chosen model.
   */
  async modelToAsk() {
    const isServed = () => this.choice.current && this.choice.current.state !== "missing";
    if (!isServed()) {
      await this.connect();
    }
    if (!this.info) {
      throw this.#error;
    }
    if (!isServed()) {
      throw new ServiceError("model");
    }
    return this.choice.name;
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
      const { current } = this.choice;
      this.choice.render();
      showWarnings(current ? [...faults(current), ...(current.model?.warnings ?? [])] : []);
      fill($("facts"), modelFacts(current, this.info));
      fill($("more-facts"), operatorFacts(current, this.info));
    }
  }
}

/** Whether a model isn't yet what it is to be. */
function isComing({ state, predictors }) {
  return state === "loading" || (state === "ready" && predictors.serving < predictors.wanted);
}

function faults(entry) {
  return isRefusing(entry) ? [t("colon", { before: entry.name, after: stateText(entry) })] : [];
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

function modelFacts(current, { limits }) {
  const model = current?.model;
  const own = model && [
    ["modelName", `${model.name} (${model.format})`],
    ["modelClasses", formatNumber(model.classes)],
    ["modelInput", model.input_shape.map((size) => size ?? "N").join(" × ")],
    ["modelForm", model.main_indicator],
    ["device", model.device],
  ];
  return [...(own ?? []), ["largest", formatBytes(limits.max_request_bytes)]];
}

function operatorFacts(current, { limits, version, workers }) {
  const { model, predictors } = current ?? {};
  const own = model && [["engine", model.engine], ["precision", model.precision], ["threads", model.threads]];
  return [
    ...(own ?? []),
    ...(predictors ? [["predictors", `${predictors.serving} / ${predictors.wanted}`]] : []),
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
