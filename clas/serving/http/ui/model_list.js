// The list of all models at the end of the page, each with a link that chooses it.

import { t } from "./i18n.js";
import { isRefusing, mark, stateText } from "./model_state.js";
import { span } from "./result_rows.js";
import { replace } from "./updates.js";

/**
 * Show the models.
 *
 * @param entries As in `GET /`.
 * @param chosen The name of one of them.
 * @param linkTo Returns the page's address with a model.
 */
export function renderModelList(list, entries, chosen, linkTo) {
  replace(
    list,
    entries.map((entry) => item(entry, entry.name === chosen, linkTo(entry.name))),
  );
}

function item(entry, isChosen, address) {
  const { name, predict, version } = entry;
  const row = document.createElement("li");
  row.setAttribute("aria-current", isChosen);
  mark(row, entry);
  const head = span("model-name", "");
  head.append(isRefusing(entry) ? span("", name) : link(name, address));
  row.append(head, span("model-state", stateText(entry)));
  const place = document.createElement("code");
  place.textContent = predict ?? "";
  row.append(place, span("model-version", version ? t("modelVersion", { version }) : ""));
  return row;
}

function link(name, address) {
  const element = document.createElement("a");
  element.href = address;
  element.textContent = element.dataset.model = name;
  return element;
}
