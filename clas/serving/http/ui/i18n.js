// The texts of the page in both languages, and the current language.

const LANGUAGE_KEY = "clas_system_language";

export const TEXTS = {
  en: {
    title: "Image classification",
    switchLanguage: "中文",
    switchLanguageLabel: "切换到中文",
    themeAuto: "Colours: system",
    themeLight: "Colours: light",
    themeDark: "Colours: dark",
    api: "API",
    stateConnecting: "Connecting",
    stateReady: "Ready",
    stateLoading: "The model is loading",
    stateIdle: "Loads when it is used",
    stateUnavailable: "Can't be loaded",
    stateUnloaded: "Unloaded",
    stateMissing: "Not on this server",
    stateEmpty: "There is no model",
    colon: "{before}: {after}",
    stateLocked: "Needs a token",
    stateUnreachable: "Server unreachable",
    add: "Add images",
    dropHint: "Drop them here, or paste them with Ctrl+V.",
    formats: "JPEG, PNG, BMP, WebP and whatever else this browser can show, one or many.",
    choose: "Choose images",
    camera: "Camera",
    privacy: "Images are sent to this server only.",
    perImage: "Results per image",
    clear: "Remove all",
    viewList: "As a list",
    viewCards: "As cards",
    csv: "Download CSV",
    retryFailed: "Try failed again",
    summaryDone: "{done} of {all} done",
    summaryFailed: "{failed} failed",
    waiting: "Waiting",
    sending: "Classifying",
    retrying: "The server is busy; trying again",
    remove: "Remove {name}",
    enlarge: "Enlarge {name}",
    converted: "Sent as JPEG: the server doesn't read this format.",
    seen: "In the frame: what the model sees, scaled to {crop} × {crop} pixels.",
    before: "Previous image",
    after: "Next image",
    request: "Request",
    requestLabel: "Request for {name}",
    requestTitle: "Send this request from code",
    requestToken: "TOKEN stands for your token.",
    requestConverted: "The page has made this JPEG of your file; the server doesn't read the original.",
    requestSave: "Save the JPEG",
    copy: "Copy",
    copied: "Copied",
    close: "Close",
    again: "Try again",
    resultsOf: "Results for {name}",
    classNumber: "Class {id}",
    noResults: "The model found no class for this image.",
    featureNumbers: "{n} features",
    featureCharacters: "Features, in {n} characters of base64",
    total: "{ms} ms",
    phase_prepare: "decode",
    phase_queue: "queue",
    phase_predict: "predict",
    phase_rest: "transfer",
    error_input: "The server can't use this file",
    error_format: "This browser can\'t show it either: save it as JPEG or PNG first.",
    error_unauthorized: "A valid token is needed",
    error_large: "The file is too large",
    error_largeDetail: "It has {size}; the server takes up to {limit}.",
    error_model: "This model isn't available",
    error_modelDetail: "Choose another one.",
    error_unavailable: "The server is too busy",
    error_server: "The server failed",
    error_unreachable: "The server can't be reached",
    error_unreachableDetail: "Check the network, and that the file is still readable.",
    noImages: "No image was dropped.",
    tokenTitle: "This server needs a token",
    tokenText: "It is kept for this tab only and forgotten when the tab is closed.",
    tokenField: "Bearer token",
    tokenRefused: "The server doesn't accept this token.",
    tokenInvalid: "A token has only ASCII characters and no spaces.",
    tokenUse: "Use token",
    tokenForget: "Forget token",
    cancel: "Cancel",
    cameraTitle: "Take a photo",
    cameraTake: "Take photo",
    cameraFailed: "The camera can't be used: {reason}",
    about: "About this service",
    more: "For operators",
    models: "Models on this server",
    modelName: "Model",
    modelVersion: "version {version}",
    modelClasses: "Classes",
    modelForm: "Results",
    modelInput: "Input",
    device: "Device",
    engine: "Engine",
    precision: "Precision",
    threads: "Threads",
    predictors: "Predictors",
    workers: "Workers",
    largest: "Largest request",
    timeout: "Longest wait",
    queue: "Images at once",
    version: "Version",
    seconds: "{n} s",
    images: "{n} images",
  },
  zh: {
    title: "图像分类",
    switchLanguage: "English",
    switchLanguageLabel: "Switch to English",
    themeAuto: "颜色：跟随系统",
    themeLight: "颜色：浅色",
    themeDark: "颜色：深色",
    api: "接口",
    stateConnecting: "正在连接",
    stateReady: "就绪",
    stateLoading: "模型加载中",
    stateIdle: "使用时加载",
    stateUnavailable: "无法加载",
    stateUnloaded: "已卸载",
    stateMissing: "本服务器上没有",
    stateEmpty: "没有模型",
    colon: "{before}：{after}",
    stateLocked: "需要令牌",
    stateUnreachable: "无法连接服务器",
    add: "添加图片",
    dropHint: "拖到这里，或按 Ctrl+V 粘贴。",
    formats: "支持 JPEG、PNG、BMP、WebP，以及本浏览器能显示的其他格式，一张或多张。",
    choose: "选择图片",
    camera: "拍照",
    privacy: "图片只发送到本服务器。",
    perImage: "每张图片的结果数",
    clear: "全部移除",
    viewList: "列表显示",
    viewCards: "卡片显示",
    csv: "下载 CSV",
    retryFailed: "重试失败的",
    summaryDone: "已完成 {done} / {all}",
    summaryFailed: "失败 {failed}",
    waiting: "排队等待发送",
    sending: "正在分类",
    retrying: "服务器繁忙，正在重试",
    remove: "移除 {name}",
    enlarge: "放大 {name}",
    converted: "已转成 JPEG 发送：服务器不读取这种格式。",
    seen: "框内是模型看到的部分，缩放为 {crop} × {crop} 像素。",
    before: "上一张",
    after: "下一张",
    request: "请求代码",
    requestLabel: "{name} 的请求代码",
    requestTitle: "用程序发送同样的请求",
    requestToken: "TOKEN 处请换成您的令牌。",
    requestConverted: "这个 JPEG 由网页从您的文件转换而来，服务器不读取原格式。",
    requestSave: "保存 JPEG",
    copy: "复制",
    copied: "已复制",
    close: "关闭",
    again: "重试",
    resultsOf: "{name} 的结果",
    classNumber: "类别 {id}",
    noResults: "模型没有为这张图片给出类别。",
    featureNumbers: "{n} 个特征值",
    featureCharacters: "特征，base64 共 {n} 个字符",
    total: "{ms} 毫秒",
    phase_prepare: "解码",
    phase_queue: "排队",
    phase_predict: "预测",
    phase_rest: "传输",
    error_input: "服务器无法使用这个文件",
    error_format: "本浏览器也无法显示它：请先另存为 JPEG 或 PNG。",
    error_unauthorized: "需要有效的令牌",
    error_large: "文件太大",
    error_largeDetail: "文件有 {size}，服务器最多接收 {limit}。",
    error_model: "这个模型不可用",
    error_modelDetail: "请选择其他模型。",
    error_unavailable: "服务器太忙",
    error_server: "服务器出错",
    error_unreachable: "无法连接服务器",
    error_unreachableDetail: "请检查网络，或文件是否仍可读取。",
    noImages: "拖入的内容里没有图片。",
    tokenTitle: "此服务器需要令牌",
    tokenText: "令牌只为当前标签页保存，关闭标签页后即清除。",
    tokenField: "Bearer 令牌",
    tokenRefused: "服务器不接受这个令牌。",
    tokenInvalid: "令牌只含 ASCII 字符，且没有空格。",
    tokenUse: "使用令牌",
    tokenForget: "清除令牌",
    cancel: "取消",
    cameraTitle: "拍一张照片",
    cameraTake: "拍摄",
    cameraFailed: "无法使用摄像头：{reason}",
    about: "正在运行",
    more: "运维信息",
    models: "本服务器的模型",
    modelName: "模型",
    modelVersion: "版本 {version}",
    modelClasses: "类别数",
    modelForm: "结果形式",
    modelInput: "输入",
    device: "设备",
    engine: "推理引擎",
    precision: "精度",
    threads: "线程",
    predictors: "预测进程",
    workers: "工作进程",
    largest: "请求上限",
    timeout: "最长等待",
    queue: "同时处理",
    version: "版本",
    seconds: "{n} 秒",
    images: "{n} 张图片",
  },
};

/** The first of the user's languages that the page supports. */
function preferred() {
  const wanted = [localStorage.getItem(LANGUAGE_KEY), ...navigator.languages];
  const known = wanted.map((tag) => (tag ?? "").slice(0, 2).toLowerCase());
  return known.find((tag) => tag in TEXTS) ?? "en";
}

let language = preferred();

/** The current language: "en" or "zh". */
export function currentLanguage() {
  return language;
}

/** The text for a key, with the placeholders in braces filled in. */
export function t(key, values = {}) {
  return TEXTS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** Set the texts of all elements below `root` with data-text or data-label (for aria-label). */
export function translate(root) {
  for (const element of root.querySelectorAll("[data-text]")) {
    element.textContent = t(element.dataset.text);
  }
  for (const element of root.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
    element.title = t(element.dataset.label);
  }
}

/** Switch to the other language, and store the choice. */
export function switchLanguage() {
  language = language === "en" ? "zh" : "en";
  localStorage.setItem(LANGUAGE_KEY, language);
}

/** Format a number of bytes. */
export function formatBytes(bytes) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${formatNumber(value, value < 10 && unit ? 1 : 0)} ${units[unit]}`;
}

/** Format a number with at most `digits` decimals. */
export function formatNumber(value, digits = 0) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits }).format(value);
}

/** Format a score, as a percentage if the model's scores are between 0 and 1. */
export function formatScore(score, isShare) {
  const options = isShare
    ? { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 }
    : { maximumFractionDigits: 3 };
  return new Intl.NumberFormat(language, options).format(score);
}
