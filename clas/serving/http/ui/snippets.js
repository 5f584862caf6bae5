// The request for an image as a shell command and as a Python program.

import { mediaType, predictUrl, token } from "./api.js";

/** Quote a text for the shell, in single quotes. */
function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A curl command that sends the same request. */
export function curl(model, file, topK) {
  const lines = [`curl -s ${quoted(predictUrl(model, topK).href)}`, `-H ${quoted(`Content-Type: ${mediaType(file)}`)}`];
  if (token()) {
    lines.push("-H 'Authorization: Bearer TOKEN'");
  }
  lines.push(`--data-binary ${quoted(`@${file.name}`)}`);
  return lines.join(" \\\n  ");
}

/** A Python program that sends it. JSON strings are valid in Python, with the same value. */
export function python(model, file, topK) {
  const headers = { "Content-Type": mediaType(file) };
  if (token()) {
    headers.Authorization = "Bearer TOKEN";
  }
  const pairs = Object.entries(headers).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  return `from pathlib import Path

import requests

response = requests.post(
    ${JSON.stringify(predictUrl(model, null).href)},${topK === null ? "" : `\n    params={"top_k": ${topK}},`}
    data=Path(${JSON.stringify(file.name)}).read_bytes(),
    headers={${pairs.join(", ")}},
    timeout=60,
)
answer = response.json()
print(answer["results"] if response.ok else answer["msg"])
`;
}
