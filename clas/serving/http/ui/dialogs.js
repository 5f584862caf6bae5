// Dialogs for the token, and for the request as a command and a program.

import { t, translate } from "./i18n.js";
import { token } from "./api.js";
import { curl, python } from "./snippets.js";

const $ = (id) => document.getElementById(id);

/** Attach the handlers of the buttons that close a dialog or copy code. */
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
 * @param wasRefused Whether the server refused the last one.
 * @returns The token, or null if the user cancels.
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
        say("tokenInvalid");
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

/**
 * Show the request for an image.
 *
 * @param model The name of the model that is asked.
 * @param file The file that is sent.
 * @param wasConverted Whether the page has made it of the user's.
 */
export function showRequest(model, file, topK, wasConverted) {
  $("curl").textContent = curl(model, file, topK);
  $("python").textContent = python(model, file, topK);
  $("request-converted").hidden = !wasConverted;
  $("request-save").onclick = () => save(file);
  $("request-token").hidden = !token();
  translate($("request-dialog"));
  $("request-dialog").showModal();
}

/** Have the browser save a file. */
export function save(file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // browsers read it later
}

async function copy(button) {
  const code = button.closest(".code").querySelector("code");
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(code.textContent).catch(() => select(code));
  } else {
    select(code); // plain HTTP: browsers allow the clipboard on HTTPS and localhost only
    document.execCommand("copy");
  }
  translate($("request-dialog"));
  button.textContent = t("copied");
}

function select(element) {
  getSelection().selectAllChildren(element);
}
