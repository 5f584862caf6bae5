// Results as CSV, letter for letter as the client and `python -m clas` write them; see csv_rows.py.

const COLUMNS = ["file", "class_id", "label_name", "score", "class_ids", "label_names", "scores"];
const NOTHING = { class_ids: [], label_names: [], scores: [] };

/** @param results Pairs of a name and a prediction, which has an `error` if it failed. */
export function csvOf(results) {
  const own = ownColumns(results.map(([, prediction]) => prediction));
  const lines = results.map(([name, prediction]) => row(name, { ...NOTHING, ...prediction }, own));
  return [[...COLUMNS, ...own.map(escaped), "error"], ...lines].map((cells) => `${cells.map(quoted).join(",")}\n`).join("");
}

/** The columns that the form of the results has: of groups their names. */
function ownColumns(predictions) {
  const groups = predictions.find((prediction) => "groups" in prediction)?.groups;
  const found = ["attributes", "value"].filter((name) => predictions.some((prediction) => name in prediction));
  return groups ? Object.keys(groups) : found;
}

function row(name, prediction, own) {
  const { class_ids: ids, label_names: names, scores, error = "" } = prediction;
  const texts = names.map((text) => JSON.stringify(text));
  return [
    escaped(name),
    String(ids[0] ?? ""),
    escaped(names[0] ?? ""),
    scores.length ? decimal(scores[0]) : "",
    ...[ids, texts, scores.map(decimal)].map((list) => `[${list.join(", ")}]`),
    ...own.map((column) => escaped(ownCell(column, prediction))),
    escaped(error),
  ];
}

function ownCell(column, { groups, attributes, value }) {
  if (groups) {
    return groups[column]?.label ?? "";
  }
  if (column === "attributes") {
    return [attributes ?? []].flat().join("; ");
  }
  return column === "value" && value !== undefined ? decimal(value) : "";
}

/** A number as Python writes a float. */
function decimal(number) {
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    return number.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  }
  return Number.isInteger(number) ? `${number}.0` : String(number);
}

/** A text without line ends, and not taken for a formula. */
function escaped(text) {
  const plain = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\r", "\\r");
  return /^[=+\-@\t]/.test(plain) ? `\\${plain}` : plain;
}

function quoted(cell) {
  return /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}
