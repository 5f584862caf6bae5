// The state of a model in words.

import { t } from "./i18n.js";

const REFUSING = ["unavailable", "unloaded", "missing"];

/** Whether requests are refused until somebody has done something about it. */
export function isRefusing({ state }) {
  return REFUSING.includes(state);
}

/** The state as the end of its text's key. */
export function stateName({ state }) {
  return state[0].toUpperCase() + state.slice(1);
}

/** Mark an element, whose `.model-name` gets a dot in the colour of the state. */
export function mark(element, entry) {
  element.dataset.state = stateName(entry);
  element.classList.toggle("refusing", isRefusing(entry));
}

/** The state in words, with the reason if the model can't be loaded. */
export function stateText(entry) {
  const state = t(`state${stateName(entry)}`);
  return entry.state === "unavailable" && entry.reason ? t("colon", { before: state, after: entry.reason }) : state;
}
