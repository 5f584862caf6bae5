// The page: sends images to the server through a short queue, and shows the answers in a gallery.

import { Card } from "./gallery_card.js";
import { askToken, prepareDialogs, showRequest } from "./dialogs.js";
import { currentLanguage, formatBytes, formatNumber, switchLanguage, t, translate } from "./i18n.js";
import { listenForImages } from "./image_input.js";
import { forgetToken, Service, ServiceError, token } from "./api.js";

const CONCURRENCY = 4; // concurrent requests: enough to fill a batch, and few enough to leave room for others
const MOST_SHOWN = 20;
const ASK_AGAIN_MS = 2000;
const RANKED = ["Topk", "ThreshOutput", "MultiLabelThreshOutput"]; // forms of results that a slider can cut
const THEME_KEY = "clas_system_theme";
const THEMES = ["auto", "light", "dark"];

const $ = (id) => document.getElementById(id);
const service = new Service(askToken);
const cards = [];
const waiting = [];
let running = 0;
let info = null; // the answer of `GET /`
let state = "Connecting";
let timer = 0;

// ---- the service

async function connect() {
  clearTimeout(timer);
  try {
    info = await service.describe();
    state = info.state === "ready" ? "Ready" : "Loading";
    setUpSlider();
  } catch (error) {
    state = error.kind === "unauthorized" ? "Locked" : "Unreachable";
  }
  const isWhole = state === "Ready" && info.predictors.serving >= info.predictors.wanted;
  if (!isWhole && state !== "Locked") {
    timer = setTimeout(connect, ASK_AGAIN_MS);
  }
  renderService();
}

function setUpSlider() {
  const { classes, top_k: topK, main_indicator: form } = info.model ?? {};
  const slider = $("top-k");
  if (Number.isInteger(topK) && RANKED.includes(form) && $("top-k-field").hidden) {
    slider.max = Math.min(classes, MOST_SHOWN);
    slider.value = topK;
    $("top-k-field").hidden = false;
    renderAll();
  }
}

/** The number of results to request; null for the server's default. */
function wantedTopK() {
  return $("top-k-field").hidden ? null : Number($("top-k").value);
}

function renderService() {
  $("state").dataset.state = state;
  $("state").textContent = t(`state${state}`);
  $("token").hidden = !token() && state !== "Locked";
  $("token").textContent = t(token() ? "tokenForget" : "tokenUse");
  $("about").hidden = !info;
  showWarnings(info?.model?.warnings ?? []);
  $("facts").replaceChildren(...facts().flatMap(([key, value]) => fact(t(key), value)));
}

function showWarnings(warnings) {
  $("warnings").hidden = !warnings.length;
  $("warnings").replaceChildren(
    ...warnings.map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }),
  );
}

function facts() {
  if (!info) {
    return [];
  }
  const { model, limits, predictors } = info;
  const rows = [];
  if (model) {
    const shape = model.input_shape.map((size) => size ?? "N").join(" × ");
    rows.push(["modelName", `${model.name} (${model.format})`], ["modelInput", shape]);
    rows.push(["modelClasses", formatNumber(model.classes)], ["modelForm", model.main_indicator]);
    rows.push(["device", model.device], ["precision", model.precision], ["threads", model.threads]);
  }
  rows.push(["predictors", `${predictors.serving} / ${predictors.wanted}`], ["workers", info.workers]);
  rows.push(["largest", formatBytes(limits.max_request_bytes)]);
  rows.push(["queue", t("images", { n: formatNumber(limits.max_queue_images) })]);
  rows.push(["timeout", t("seconds", { n: formatNumber(limits.timeout_s, 1) })], ["version", info.version]);
  return rows;
}

function fact(name, value) {
  const pair = document.createElement("div");
  const [term, description] = ["dt", "dd"].map((tag) => document.createElement(tag));
  term.textContent = name;
  description.textContent = value;
  pair.append(term, description);
  return [pair];
}

// ---- images

function take(files) {
  service.mayAskAgain();
  $("notice").hidden = files.length > 0;
  $("notice").textContent = t("noImages");
  for (const file of files) {
    const card = new Card(file, {
      onRemove: remove,
      onAgain: () => {
        service.mayAskAgain();
        enqueue(card);
      },
      onRequest: () => showRequest(file, wantedTopK()),
    });
    cards.push(card);
    $("gallery").append(card.element);
    enqueue(card);
  }
}

function enqueue(card) {
  card.state = "waiting";
  waiting.push(card);
  show(card);
  work();
}

function remove(card) {
  const place = cards.indexOf(card);
  cards.splice(place, 1);
  card.remove();
  const next = cards[Math.min(place, cards.length - 1)];
  (next ? next.element.querySelector(".remove") : $("choose")).focus();
  renderSummary();
}

function work() {
  while (running < CONCURRENCY && waiting.length) {
    const card = waiting.shift();
    if (cards.includes(card)) {
      running += 1;
      classify(card).finally(() => {
        running -= 1;
        work();
      });
    }
  }
}

async function classify(card) {
  const { file, canceller } = card;
  card.state = "sending";
  card.topK = wantedTopK();
  show(card);
  try {
    refuseTooLarge(file);
    const onPause = () => {
      card.state = "retrying";
      show(card);
    };
    card.succeed(await service.predict(file, card.topK, canceller.signal, onPause));
    if (state !== "Ready") {
      connect();
    }
  } catch (error) {
    if (canceller.signal.aborted) {
      return;
    }
    if (!(error instanceof ServiceError)) {
      card.fail(new ServiceError("server", String(error)));
      throw error;
    }
    card.fail(error);
  } finally {
    show(card);
  }
  askForMore();
}

/** Fail without sending the file: the server would refuse it after reading up to its limit. */
function refuseTooLarge(file) {
  const limit = info?.limits.max_request_bytes ?? Infinity;
  if (file.size > limit) {
    const error = new ServiceError("large");
    error.values = { size: formatBytes(file.size), limit: formatBytes(limit) };
    throw error;
  }
}

/** Request more results for images that have fewer than the slider shows. */
function askForMore() {
  for (const card of cards) {
    if (card.state === "done" && card.known < (wantedTopK() ?? 0)) {
      enqueue(card);
    }
  }
}

function show(...some) {
  some.forEach((card) => card.render(wantedTopK() ?? MOST_SHOWN));
  renderSummary();
}

function renderSummary() {
  const count = (name) => cards.filter((card) => card.state === name).length;
  const values = { done: count("done"), failed: count("failed"), all: cards.length };
  const parts = [t("summaryDone", values)];
  if (values.failed) {
    parts.push(t("summaryFailed", values));
  }
  $("summary").textContent = parts.join(" · ");
  $("toolbar").hidden = cards.length === 0;
  document.body.classList.toggle("has-images", cards.length > 0);
  $("gallery").classList.toggle("alone", cards.length === 1);
}

// ---- the page itself

function renderAll() {
  document.documentElement.lang = currentLanguage() === "zh" ? "zh-CN" : "en";
  document.title = t("title");
  translate(document);
  $("language").textContent = t("switchLanguage");
  $("language").setAttribute("aria-label", t("switchLanguageLabel"));
  $("top-k-value").textContent = $("top-k").value;
  renderTheme();
  renderService();
  show(...cards);
}

function renderTheme() {
  const theme = localStorage.getItem(THEME_KEY) ?? "auto";
  document.documentElement.dataset.theme = theme;
  const key = { auto: "themeAuto", light: "themeLight", dark: "themeDark" }[theme];
  $("theme").setAttribute("aria-label", t(key));
  $("theme").title = t(key);
}

$("language").addEventListener("click", () => {
  switchLanguage();
  renderAll();
});
$("theme").addEventListener("click", () => {
  const place = THEMES.indexOf(document.documentElement.dataset.theme);
  localStorage.setItem(THEME_KEY, THEMES[(place + 1) % THEMES.length]);
  renderTheme();
});
$("token").addEventListener("click", () => {
  if (token()) {
    forgetToken();
    state = "Locked";
    renderService();
  } else {
    service.mayAskAgain();
    connect();
  }
});
$("clear").addEventListener("click", () => {
  cards.splice(0).forEach((card) => card.remove());
  renderSummary();
  $("choose").focus();
});
$("top-k").addEventListener("input", () => {
  $("top-k-value").textContent = $("top-k").value;
  show(...cards);
});
$("top-k").addEventListener("change", askForMore);

prepareDialogs();
listenForImages(take);
renderAll();
connect();
