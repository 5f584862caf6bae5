// The page: ties the server, the gallery and the controls together.

import { forgetToken, Service, token } from "./api.js";
import { askToken, prepareDialogs, save } from "./dialogs.js";
import { Gallery } from "./gallery.js";
import { currentLanguage, switchLanguage, t, translate } from "./i18n.js";
import { listenForImages } from "./image_input.js";
import { ServicePanel } from "./service_panel.js";

const MOST_SHOWN = 20;
const RANKED = ["Topk", "ThreshOutput", "MultiLabelThreshOutput"]; // forms of results that a slider can cut
const THEME_KEY = "clas_system_theme";
const THEMES = ["auto", "light", "dark"];

const $ = (id) => document.getElementById(id);
const service = new Service(askToken);
const panel = new ServicePanel(service, setUp);
const gallery = new Gallery(service, panel);

let shaped = ""; // what the page is set up for
let count = null; // what the user has set the slider to

/** Set the page up for a model, with each answer of the server and when another one is chosen. */
function setUp(entry) {
  const { classes, top_k: topK, main_indicator: form, preprocess = null } = entry?.model ?? {};
  const shape = JSON.stringify([entry?.name, classes, topK, form, preprocess]);
  if (!entry || shape === shaped) {
    return;
  }
  shaped = shape;
  const slider = $("top-k");
  $("top-k-field").hidden = !(Number.isInteger(topK) && RANKED.includes(form));
  if (!$("top-k-field").hidden) {
    slider.max = Math.min(classes, MOST_SHOWN);
    slider.value = count ?? topK;
  }
  gallery.setModel(entry.name, topKOfSlider(), preprocess);
}

/** Each image is asked about once, for as many results as the slider can show. */
function topKOfSlider() {
  const slider = $("top-k");
  $("top-k-value").textContent = slider.value;
  const isKnown = !$("top-k-field").hidden;
  return isKnown ? { asked: Number(slider.max), shown: Number(slider.value) } : { asked: null, shown: Infinity };
}

function take(files) {
  service.mayAskAgain();
  $("notice").hidden = files.length > 0;
  $("notice").textContent = t("noImages");
  gallery.take(files);
}

function renderAll() {
  document.documentElement.lang = currentLanguage() === "zh" ? "zh-CN" : "en";
  document.title = t("title");
  translate(document);
  $("language").textContent = t("switchLanguage");
  $("language").setAttribute("aria-label", t("switchLanguageLabel"));
  renderTheme();
  panel.render();
  gallery.show();
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
    panel.lock();
  } else {
    service.mayAskAgain();
    panel.connect();
  }
});
$("clear").addEventListener("click", () => {
  gallery.clear();
  $("choose").focus();
});
$("view").addEventListener("click", () => gallery.switchView());
$("retry").addEventListener("click", () => gallery.retryFailed());
$("csv").addEventListener("click", () => {
  const name = panel.choice.hasChoice ? `results-${panel.choice.name}.csv` : "results.csv";
  save(new File([gallery.csv()], name, { type: "text/csv" }));
});
$("top-k").addEventListener("input", () => {
  count = Number($("top-k").value);
  gallery.setTopK(topKOfSlider());
});

prepareDialogs();
listenForImages(take);
renderAll();
panel.connect();
