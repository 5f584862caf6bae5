"use strict";

const CHINESE = {
  find: "名称或类别", best: "最佳类别", from: "得分从", to: "到", sort: "顺序", view: "显示", cards: "卡片", gallery: "图库",
  all: "全部", none: "无结果", given: "发送顺序", high: "得分从高到低", low: "得分从低到高", name: "文件名", class: "类别",
  count: "%1 / %2 张图片", failed: "无结果", date: "日期", server: "服务", model: "模型", engine: "引擎", images: "图片", accuracy: "准确率",
};
const ENGLISH = {
  all: "All", none: "No result", given: "As sent", high: "Highest score first", low: "Lowest score first",
  name: "Name", class: "Class", cards: "Cards", gallery: "Gallery", count: "%1 of %2 images",
};
const isChinese = navigator.language.toLowerCase().startsWith("zh");
const words = isChinese ? CHINESE : ENGLISH;
const NO_RESULT = "\n"; // no class has this name
const filters = []; // of other parts of the page: from an image to whether it is wanted

const ORDERS = {
  given: (a, b) => a.place - b.place,
  high: (a, b) => b.score - a.score || a.place - b.place,
  low: (a, b) => a.score - b.score || a.place - b.place,
  name: (a, b) => a.name.localeCompare(b.name) || a.place - b.place,
  class: (a, b) => a.best.localeCompare(b.best, undefined, { numeric: true }) || b.score - a.score,
};

function option(value, text) {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = text;
  return made;
}

function read(item, place) {
  const { best, score } = item.dataset;
  const name = item.querySelector("h2")?.textContent ?? "";
  return {
    item, place, name, best,
    failed: score === "",
    score: score === "" ? -Infinity : Number(score),
    text: item.textContent.toLowerCase(),
  };
}

function classes(images) {
  const counts = new Map();
  for (const { best, failed } of images) {
    const key = failed ? NO_RESULT : best;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
}

addEventListener("DOMContentLoaded", () => {
  const $ = (id) => document.getElementById(id);
  if (isChinese) {
    document.documentElement.lang = "zh-CN";
    for (const element of document.querySelectorAll("[data-word]")) {
      element.textContent = CHINESE[element.dataset.word];
    }
  }
  $("facts").append(...($("totals")?.children ?? [])); // written last, and read first
  const list = $("images");
  const images = [...list.children].map(read);
  $("best").append(option("", words.all), ...classes(images).map(([best, count]) =>
    option(best, `${best === NO_RESULT ? words.none : best} (${count})`)));
  $("view").append(option("", words.cards), option("gallery", words.gallery));
  const isShare = images.every(({ failed, score }) => failed || (score >= 0 && score <= 1)); // shown in percent
  const unit = isShare ? 100 : 1;
  for (const id of isShare ? ["least", "most"] : []) {
    $(id).step = 5;
    $(id).previousElementSibling.append(" (%)");
  }
  $("sort").append(...Object.keys(ORDERS).map((order) => option(order, words[order])));

  function isWanted(image) {
    const best = $("best").value;
    const least = $("least").value === "" ? -Infinity : Number($("least").value) / unit;
    const most = $("most").value === "" ? Infinity : Number($("most").value) / unit;
    const isAll = least === -Infinity && most === Infinity; // failed images have no score
    return (best === "" || best === (image.failed ? NO_RESULT : image.best))
      && (isAll || (image.score >= least && image.score <= most))
      && image.text.includes($("find").value.trim().toLowerCase())
      && filters.every((filter) => filter(image));
  }

  function show() {
    const wanted = images.filter(isWanted).sort((a, b) => a.failed - b.failed || ORDERS[$("sort").value](a, b));
    list.className = $("view").value;
    list.replaceChildren(...wanted.map(({ item }) => item));
    $("count").textContent = words.count.replace("%1", wanted.length).replace("%2", images.length);
  }

  for (const kind of ["input", "change"]) $("controls").addEventListener(kind, show); // some browsers fire only one for a select
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("controls").hidden = false;
  show();
});
