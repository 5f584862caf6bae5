// The warnings of `GET /`, what may make results wrong, in Chinese; they come in English.

import { translator } from "./translator.js";

const WARNINGS = [
  // How images are preprocessed
  ["the model has no inference\\.yml: that images are preprocessed as for ImageNet \\(resize_short (\\d+), crop_size (\\d+)\\) is assumed", "模型没有 inference.yml：假设图片按 ImageNet 预处理（resize_short {1}，crop_size {2}）"],
  ["transform_ops has no ToCHWImage: the axes are in the order that the model takes", "transform_ops 里没有 ToCHWImage：各个轴按模型需要的顺序排列"],
  ["the model declares images of (.+); it runs on (.+), as its inference\\.yml says", "模型声明的图片尺寸是{1}；它按 inference.yml 以{2}运行"],
  ["any size", "任意大小"],
  ["(\\d+|any) x (\\d+|any) pixels", " {1} × {2} 像素"],
  ["any", "任意"],
  ["(.+), but the model takes (.+): encoded images will be refused; (.+)", "{1}，而模型需要 {2}：编码的图片会被拒绝；{3}"],
  ["images have (\\d+) channels", "图片有 {1} 个通道"],
  ["crop_size is (\\d+)", "crop_size 是 {1}"],
  ["resize_size is (\\[.+\\])", "resize_size 是 {1}"],
  ["transform_ops makes images of (\\w+) x (\\w+)", "transform_ops 生成的图片是 {1} × {2}"],
  ["send tensors of that many channels", "请发送有这么多通道的张量"],
  ["set resize_size in params\\.py, or by --resize_size (\\S+)", "请在 params.py 里设置 resize_size，或者用 --resize_size {1}"],
  ["set crop_size and resize_short in params\\.py, or by --crop_size (\\d+) --resize_short (\\d+)", "请在 params.py 里设置 crop_size 和 resize_short，或者用 --crop_size {1} --resize_short {2}"],
  // Labels
  ["the labels of (.+) count from 1: 1 is taken for class 0, and (\\d+) for class (\\d+)", "{1} 里的标签从 1 数起：1 当作类别 0，{2} 当作类别 {3}"],
  ["the built-in label list isn't used: it has (.+); set class_id_map_file to the model's own", "没有使用内置的标签表：它有 {1}；请把 class_id_map_file 设为模型自己的标签文件"],
  ["(\\d+) labels with ids (-?\\d+) to (-?\\d+), but the model has (\\d+) classes, 0 to (\\d+)", "{1} 个标签，编号从 {2} 到 {3}，而模型有 {4} 个类别，从 0 到 {5}"],
  ["(.+) has (\\d+ labels with ids .+)", "{1} 有 {2}"],
  ["the settings", "设置"],
  // Scores
  ["(.+); they have no labels, and may be the features of an image, which aren't classes: set main_indicator to features if they are", "{1}；它们没有标签，可能是图片的特征而不是类别：如果是，请把 main_indicator 设为 features"],
  ["the model's scores at the warm-up are from (\\S+) to (\\S+), which aren't probabilities: (.+)", "预热时模型的得分从 {1} 到 {2}，不是概率：{3}"],
  ["softmax is false, and they are answered as they are", "softmax 是 false，得分原样返回"],
  ["they are used as they are; export the model with its sigmoid", "得分原样使用；请把模型连同 sigmoid 一起导出"],
  ["they are taken for logits, and softmax is applied; set softmax to true if that is right, or to false", "把它们当作 logits，做了 softmax；如果正确，请把 softmax 设为 true，否则设为 false"],
  ["they are answered as they are; set softmax to true if they are logits, or to false", "得分原样返回；如果是 logits，请把 softmax 设为 true，否则设为 false"],
  ["the model's scores at the warm-up have the sum (\\S+) to (\\S+), not 1: set main_indicator to MultiLabelThreshOutput if several classes may be true at once, softmax to true if they are logits, to false if they are right", "预热时模型得分的总和从 {1} 到 {2}，不是 1：如果一张图片可以同时属于几类，请把 main_indicator 设为 MultiLabelThreshOutput；如果是 logits，请把 softmax 设为 true；如果得分正确，请设为 false"],
  ["a request has scores from (\\S+) to (\\S+), which aren't probabilities: set softmax to true if they are logits", "有请求的得分从 {1} 到 {2}，不是概率：如果是 logits，请把 softmax 设为 true"],
  ["softmax is true, but the model's scores are probabilities already, which it makes alike: set it to auto", "softmax 是 true，但模型的得分已经是概率，再做一次会使它们彼此接近：请把它设为 auto"],
];

/** The warning in Chinese; as it is, if it isn't known. */
export const warningInChinese = translator(WARNINGS);
