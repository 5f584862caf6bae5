// The dialogs but for the camera's: the token, and the request as a program.

import { t, translate } from "./i18n.js";
import { token } from "./service.js";
import { curl, python } from "./snippets.js";

const $ = (id) => document.getElementById(id);

/** Let the buttons that close a dialog do so. */
export function prepareDialogs() {
  for (const button of document.querySelectorAll("dialog .close")) {
    button.addEventListener("click", () => button.closest("dialog").close());
  }
  for (const button of document.querySelectorAll("dialog .copy")) {
    button.addEventListener("click", () => copy(button));
  }
}

/**
 * Ask for a token.
 *
 * @param wasRefused Whether the last one was.
 * @returns The token, or null if the visitor gives none.
 */
export function askToken(wasRefused) {
  const dialog = $("token-dialog");
  const input = $("token-input");
  const say = (key) => {
    $("token-note").hidden = key === null;
    $("token-note").textContent = key === null ? "" : t(key);
  };
  return new Promise((resolve) => {
    let given = null;
    say(wasRefused ? "tokenRefused" : null);
    input.value = "";
    $("token-form").onsubmit = (event) => {
      event.preventDefault();
      const value = input.value.trim();
      if (/^[!-~]+$/.test(value)) {
        given = value;
        dialog.close();
      } else {
        say("tokenUnfit");
        input.focus();
      }
    };
    dialog.onclose = () => {
      input.value = "";
      resolve(given);
    };
    dialog.showModal();
  });
}

/** Show the request of a picture. */
export function showRequest(file, topK) {
  $("curl").textContent = curl(file, topK);
  $("python").textContent = python(file, topK);
  $("request-token").hidden = !token();
  translate($("request-dialog"));
  $("request-dialog").showModal();
}

async function copy(button) {
  const code = button.closest(".code").querySelector("code");
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(code.textContent).catch(() => select(code));
  } else {
    select(code); // plain HTTP: browsers lend the clipboard to HTTPS and localhost only
    document.execCommand("copy");
  }
  translate($("request-dialog"));
  button.textContent = t("copied");
}

function select(element) {
  getSelection().selectAllChildren(element);
}
