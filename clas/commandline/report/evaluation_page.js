"use strict";

const EVALUATION_CHINESE = {
  evaluation: "评估", confused: "个互相混淆的类别", truth: "真实类别", answer: "结果", confusions: "混淆", list: "列成表，最多的在前", images: "图片数",
  corner: "真实类别 / 结果", others: "其他", worst: "类别，最差的在前", class: "类别", f1: "F1", precision: "精确率", recall: "召回率",
  ap: "平均精度", calibration: "按得分的准确率", error: "期望校准误差", scores: "得分", score: "平均", accuracy: "正确", answers: "个数",
  all: "全部", right: "正确", wrong: "错误", verdict: "与真实类别", other: "其他",
};
const EVALUATION_ENGLISH = {
  all: "All", right: "Right", wrong: "Wrong", verdict: "Compared with truth", other: "others",
};

addEventListener("DOMContentLoaded", () => {
  const texts = isChinese ? EVALUATION_CHINESE : EVALUATION_ENGLISH;
  if (isChinese) {
    for (const element of document.querySelectorAll("[data-text]")) element.textContent = texts[element.dataset.text];
  }
  const controls = document.getElementById("controls");
  const section = document.getElementById("evaluation");
  if (section) document.querySelector("header").after(section); // it is written last, and read first

  const verdict = document.createElement("select");
  verdict.id = "verdict";
  verdict.append(option("", texts.all), option("true", texts.right), option("false", texts.wrong));
  const label = document.createElement("label");
  const word = document.createElement("span");
  word.textContent = texts.verdict;
  label.append(word, " ", verdict);
  const chosen = document.createElement("button"); // what a click has chosen; another click on it chooses all
  chosen.id = "chosen";
  chosen.type = "button";
  chosen.hidden = true;
  controls.insertBefore(label, document.getElementById("count"));
  controls.insertBefore(chosen, document.getElementById("count"));

  let isChosen = () => true;
  filters.push(({ item }) => (verdict.value === "" || item.dataset.correct === verdict.value) && isChosen(item.dataset));
  const refresh = () => controls.dispatchEvent(new Event("input"));

  function choose(text, filter) {
    isChosen = filter;
    chosen.textContent = `${text} ✕`;
    chosen.hidden = text === "";
    refresh();
    if (text) document.getElementById("images").scrollIntoView({ block: "start" });
  }
  chosen.addEventListener("click", () => choose("", () => true));

  const judged = [...document.querySelectorAll("li[data-truth]")].map((item) => item.dataset); // all are shown now
  const has = (list, key) => list !== undefined && [JSON.parse(list)].flat().includes(key);

  /* The images of a class that are wrong; if none is, all of it. Of a label, where truth and answer differ. */
  function ofClass(key) {
    const isWrong = ({ truth, answer, correct }) => correct === "false" && has(truth, key) !== has(answer, key);
    const isTrue = ({ truth }) => has(truth, key);
    const isLabels = judged.some(({ truth }) => truth.startsWith("["));
    const mistaken = (each) => isWrong(each) && (isLabels || isTrue(each));
    return judged.some(mistaken) ? mistaken : isTrue;
  }

  section?.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    const { truth, answer } = button.dataset;
    const title = button.closest("tr").querySelector("th, td:nth-child(2)")?.title
      || button.closest("tr").querySelector("td:nth-child(2)")?.textContent;
    if (button.dataset.class !== undefined) {
      choose(button.textContent, ofClass(JSON.parse(button.dataset.class)));
    } else if (button.dataset.rest !== undefined) {
      const columns = new Set([...section.querySelectorAll(".matrix button[data-answer]")].map((each) => each.dataset.answer));
      choose(`${title} → ${texts.other}`, (data) => data.truth === truth && data.answer !== undefined && !columns.has(data.answer));
    } else {
      const shown = button.title.replace(/: \d+ \/ \d+$/, "") || `${title} → ${button.textContent}`;
      choose(shown, (data) => data.truth === truth && data.answer === answer);
    }
  });
  refresh();
});
