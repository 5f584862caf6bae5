// The server's reasons for refusing an image, in Chinese; they come in English.

import { translator } from "./translator.js";

const PIXELS = "the image has (\\d+) x (\\d+) pixels";
const REASONS = [
  ["the image can't be decoded: (.+)", "无法解码图片：{1}"],
  ["it is none of (.+)", "不是 {1} 格式的文件"],
  ["its header is damaged", "文件头损坏"],
  ["its pixels are damaged", "像素数据损坏"],
  ["it ends before its last pixel", "文件不完整，像素没有到齐就结束了"],
  ["it goes on behind its last pixel", "像素之后还有多余的数据"],
  ["it ends within a (?:chunk|segment)", "文件不完整，在一个数据段中间结束"],
  ["it has more than (\\d+) (?:chunks|segments)", "数据段超过 {1} 个"],
  ["it has too many scans", "扫描次数太多"],
  ["it has no pixels", "没有像素"],
  ["it is RIFF, but not WebP", "是 RIFF 文件，但不是 WebP"],
  ["it has (\\d+) x (\\d+) pixels, and OpenCV decodes (\\d+) at most", "有 {1} × {2} 个像素，OpenCV 最多解码 {3} 个"],
  ["a JPEG of (\\d+) bits isn't supported", "不支持 {1} 位的 JPEG"],
  ["a JPEG of (\\d+) components isn't supported", "不支持 {1} 个分量的 JPEG"],
  ["a JPEG of this kind \\(marker (\\w+)\\) isn't supported", "不支持这一类 JPEG（标记 {1}）"],
  ["an animation whose first image is smaller than the others isn't supported", "不支持首帧小于其他帧的动画"],
  [`${PIXELS}; max_image_pixels is (\\d+)`, "图片有 {1} × {2} 个像素，上限（max_image_pixels）是 {3}"],
  [`${PIXELS}; crop_size is ([\\dx ]+)`, "图片有 {1} × {2} 个像素，小于 crop_size（{3}）"],
  [`${PIXELS}: too small`, "图片有 {1} × {2} 个像素，太小"],
  [`${PIXELS}, and is to be padded to ([\\dx ]+)`, "图片有 {1} × {2} 个像素，大于要填充到的 {3}"],
  [`${PIXELS}, and would have (\\d+) x (\\d+) with a resize_short of (\\d+): too many`, "图片有 {1} × {2} 个像素，短边缩放到 resize_short（{5}）后是 {3} × {4}，太大"],
  [`${PIXELS} after resizing: too many without a crop`, "图片缩放后有 {1} × {2} 个像素，不裁剪就太大"],
  ["the model (\\S+) isn't in memory", "模型 {1} 不在内存里"],
  ["there was no time to load the model (\\S+)", "没有来得及加载模型 {1}"],
  ["a valid token is needed: .+", "需要有效的令牌"],
  ["the body has (\\d+) bytes or more; max_request_bytes is (\\d+)", "请求有 {1} 字节或更多，上限（max_request_bytes）是 {2}"],
  ["the body didn't come within (\\S+) s \\(timeout_s\\)", "请求没有在 {1} 秒（timeout_s）内收完"],
  ["there was no time for this request within (\\S+) s", "服务器没能在 {1} 秒内处理这个请求"],
  ["the queue is full: (\\d+) of (\\d+) images", "队列已满：{1} / {2} 张图片"],
  ["the queue is full: (\\d+) of (\\d+) bytes", "队列已满：{1} / {2} 字节"],
  ["the server is stopping", "服务器正在停止"],
  ["the model is being loaded(?: again)?", "模型正在加载"],
];

/** The reason in Chinese; as it is, if it isn't known. */
export const inChinese = translator(REASONS);
