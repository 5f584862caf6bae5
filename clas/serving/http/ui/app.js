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

/** The server has told what it runs; the slider is set up when it does so first. */
function setUp({ model }) {
  const { classes, top_k: topK, main_indicator: form, preprocess = null } = model ?? {};
  gallery.setPreprocess(preprocess);
  const slider = $("top-k");
  if (Number.isInteger(topK) && RANKED.includes(form) && $("top-k-field").hidden) {
    slider.max = Math.min(classes, MOST_SHOWN);
    slider.value = topK;
    $("top-k-field").hidden = false;
    showAsMany();
  }
}

/** Each image is asked about once, for as many results as the slider can show. */
function showAsMany() {
  const slider = $("top-k");
  $("top-k-value").textContent = slider.value;
  gallery.setTopK({ asked: Number(slider.max), shown: Number(slider.value) });
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
$("csv").addEventListener("click", () => save(new File([gallery.csv()], "results.csv", { type: "text/csv" })));
$("top-k").addEventListener("input", showAsMany);

prepareDialogs();
listenForImages(take);
renderAll();
panel.connect();
