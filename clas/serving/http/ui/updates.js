// Updates elements in place, and only what has changed: it is looked at again and again.

/** Set a text; a screen reader is to hear of changes only. */
export function setText(element, text) {
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

/** Replace what a list holds, unless that is the same: somebody may be selecting it. */
export function replace(list, items) {
  const next = list.cloneNode();
  next.append(...items);
  if (!next.isEqualNode(list)) {
    list.replaceChildren(...next.childNodes);
  }
}
