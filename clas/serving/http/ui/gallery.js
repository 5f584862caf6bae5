// The gallery: sends its images to the server through a short queue, and shows the answers.

import { ServiceError } from "./api.js";
import { csvOf } from "./csv.js";
import { showRequest } from "./dialogs.js";
import { Card } from "./gallery_card.js";
import { formatBytes, t } from "./i18n.js";
import { ImageView } from "./image_view.js";
import { Queue } from "./queue.js";

const CONCURRENCY = 4; // concurrent requests: enough to fill a batch, and few enough to leave room for others
const MANY = 20; // more images are shown as a list, unless the user has chosen
const ALL = Infinity;

const $ = (id) => document.getElementById(id);

export class Gallery {
  #service;
  #panel;
  #model = null; // the name of the one that has been asked
  #topK = { asked: null, shown: ALL };
  #preprocess = null;
  #cards = [];
  #queue = new Queue((card) => this.#classify(card), CONCURRENCY);
  #chosenView = null; // "cards" or "list"
  #view = new ImageView(() => this.#ordered());

  /** @param panel The ServicePanel, which is told when the server's state may have changed. */
  constructor(service, panel) {
    this.#service = service;
    this.#panel = panel;
  }

  /**
   * Ask a model from now on; if it is another one than before, about all images again.
   *
   * @param model The model's name.
   * @param topK As for `setTopK`.
   * @param preprocess The model's preprocessing as in `GET /`, null if it isn't known.
   */
  setModel(model, topK, preprocess) {
    const isOther = this.#model !== null && this.#model !== model;
    this.#model = model;
    this.#preprocess = preprocess;
    for (const card of this.#cards) {
      card.preprocess = preprocess;
    }
    if (isOther) {
      this.#forgetAnswers();
    }
    this.setTopK(topK);
    this.#enqueue(isOther ? this.#cards : []);
  }

  #forgetAnswers() {
    this.#queue.clear();
    const heights = this.#cards.map(({ element }) => element.offsetHeight); // all, before one is changed
    this.#cards.forEach((card, place) => card.forget(heights[place]));
  }

  /** @param topK `asked`: how many results to request, null for the server's default; `shown`: how many to show. */
  setTopK(topK) {
    this.#topK = topK;
    this.show();
    this.#askForAll(this.#cards);
  }

  /** Ask again about those that were sent before the page knew how many results there are. */
  #askForAll(cards) {
    this.#enqueue(cards.filter((card) => card.state === "done" && card.known < (this.#topK.asked ?? 0)));
  }

  take(files) {
    const cards = [...files].map((file) => {
      const card = new Card(file, {
        onRemove: () => this.#remove(card),
        onAgain: () => this.#again([card]),
        onEnlarge: () => this.#view.open(card),
        onRequest: () => this.#showRequest(card),
      });
      card.preprocess = this.#preprocess;
      this.#cards.push(card);
      $("gallery").append(card.element);
      return card;
    });
    this.#enqueue(cards);
  }

  #showRequest({ file, sent }) {
    const topK = this.#topK.asked === null ? null : this.#topK.shown;
    showRequest(this.#panel.choice.name, sent ?? file, topK, sent !== null && sent !== file);
  }

  retryFailed() {
    this.#again(this.#cards.filter((card) => card.canBeRetried));
  }

  #again(cards) {
    this.#service.mayAskAgain();
    this.#enqueue(cards);
  }

  clear() {
    this.#cards.splice(0).forEach((card) => card.remove());
    this.#chosenView = null;
    this.#renderToolbar();
  }

  switchView() {
    this.#chosenView = this.#isList ? "cards" : "list";
    this.#renderToolbar();
  }

  /** The finished images as CSV, in the order that they came in. */
  csv() {
    const finished = this.#cards.filter((card) => !card.isBusy);
    return csvOf(finished.map((card) => [card.file.relativePath ?? card.name, card.result(this.#topK.shown)]));
  }

  #remove(card) {
    const order = this.#ordered();
    const place = order.indexOf(card);
    const next = order[place + 1] ?? order[place - 1];
    this.#cards.splice(this.#cards.indexOf(card), 1);
    card.remove();
    (next ? next.element.querySelector(".remove") : $("choose")).focus();
    this.#renderToolbar();
  }

  #enqueue(cards) {
    if (!cards.length) {
      return;
    }
    for (const card of cards) {
      card.state = "waiting";
    }
    this.show(...cards);
    this.#queue.add(cards);
  }

  async #classify(card) {
    const { signal } = card.canceller; // it gets another one with another model
    if (signal.aborted) {
      return; // it was removed meanwhile
    }
    const change = (state) => {
      if (!signal.aborted) {
        card.state = state;
        this.show(card);
      }
    };
    change("sending");
    const outcome = await this.#send(card, signal, () => change("retrying")).catch((error) => error);
    if (signal.aborted) {
      return;
    }
    if (outcome instanceof Error) {
      card.fail(outcome instanceof ServiceError ? outcome : new ServiceError("server", String(outcome)));
    } else {
      card.succeed(outcome);
    }
    this.show(card);
    this.#askForAll([card]);
    const { state } = this.#panel;
    if (state === "Idle" || card.canBeRetried === (state === "Ready")) {
      this.#panel.connect(); // the head says something else than what has happened here
    }
  }

  async #send(card, signal, onPause) {
    const file = await card.fileToSend();
    const model = await this.#panel.modelToAsk();
    this.#refuseTooLarge(file);
    card.topK = this.#topK.asked;
    try {
      return await this.#service.predict(model, file, card.topK, signal, onPause);
    } catch (error) {
      const isRare = error.detail?.endsWith("isn't supported"); // a rare kind of a format that the server reads
      if (isRare && file === card.file && (await card.convert())) {
        return this.#send(card, signal, onPause);
      }
      throw error;
    }
  }

  /** Fail without sending the file: the server would refuse it after reading up to its limit. */
  #refuseTooLarge(file) {
    const limit = this.#panel.info?.limits.max_request_bytes ?? Infinity;
    if (file.size > limit) {
      const error = new ServiceError("large");
      error.values = { size: formatBytes(file.size), limit: formatBytes(limit) };
      throw error;
    }
  }

  /** Show some cards as they are now; without any, all. */
  show(...some) {
    for (const card of some.length ? some : this.#cards) {
      card.render(this.#topK.shown);
    }
    this.#renderToolbar();
  }

  get #isList() {
    const isMany = this.#cards.length > MANY;
    return this.#cards.length > 1 && (this.#chosenView ? this.#chosenView === "list" : isMany);
  }

  /** The cards as they are shown: in a list, those that failed come first. */
  #ordered() {
    const isList = this.#isList;
    const comesFirst = (card) => isList && card.state === "failed";
    return [...this.#cards.filter(comesFirst), ...this.#cards.filter((card) => !comesFirst(card))];
  }

  #renderToolbar() {
    const count = (test) => this.#cards.filter(test).length;
    const all = this.#cards.length;
    const [done, failed] = ["done", "failed"].map((state) => count((card) => card.state === state));
    const parts = [t("summaryDone", { done, all }), ...(failed ? [t("summaryFailed", { failed })] : [])];
    $("summary").textContent = parts.join(" · ");
    $("toolbar").hidden = all === 0;
    $("view").hidden = all < 2;
    $("view").textContent = t(this.#isList ? "viewCards" : "viewList");
    $("csv").hidden = done + failed === 0;
    $("retry").hidden = count((card) => card.canBeRetried) < (this.#isList ? 1 : 2); // a card has a button of its own
    document.body.classList.toggle("has-images", all > 0);
    $("gallery").classList.toggle("alone", all === 1);
    $("gallery").classList.toggle("list", this.#isList);
    this.#arrange();
  }

  /** Move only what isn't in its place: a moved element loses the focus. */
  #arrange() {
    const { children } = $("gallery");
    this.#ordered().forEach(({ element }, place) => {
      if (children[place] !== element) {
        $("gallery").insertBefore(element, children[place]);
      }
    });
  }
}
