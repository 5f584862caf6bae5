// The rows of a card: what the model says of its image.

import { formatNumber, formatScore, t } from "./i18n.js";

/** A row for each class, the best `shown` ones. */
export function classRows({ class_ids: ids, scores, label_names: names }, shown) {
  const isShare = scores.every((score) => score >= 0 && score <= 1);
  const top = isShare ? 1 : Math.max(...scores.map(Math.abs));
  return ids.slice(0, shown).map((id, rank) => {
    const row = document.createElement("li");
    const name = span("name", "");
    name.append(span("label", names[rank] || t("classNumber", { id })));
    if (names[rank]) {
      name.append(" ", span("id", id));
    }
    row.append(name, span("score", formatScore(scores[rank], isShare)), bar(Math.max(scores[rank], 0) / top));
    row.title = t("classNumber", { id });
    return row;
  });
}

/** A row for each attribute or group, or one for a number or for features; null for classes. */
export function ownRows({ attributes, groups, value, feature }) {
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

export function span(className, text) {
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
