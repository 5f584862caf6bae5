// Which of the server's models is asked: chosen in the head or in the list at the end, or named in the page's address.

import { t } from "./i18n.js";
import { renderModelList } from "./model_list.js";
import { isRefusing, mark, stateText } from "./model_state.js";
import { span } from "./result_rows.js";
import { setText } from "./updates.js";

const MODEL_KEY = "clas_system_model";
const PARAMETER = "model"; // of the page's address, so that a link to a model can be shared
const NAME = /^(?!\.\.?$)[\w.-]{1,64}$/; // what the server takes for one
const USUAL_NAME = "clas_system"; // until the server says what it serves
const LONGEST_STATE = 100; // characters in an option; all of it is in the list
const ANSWERING = ["ready", "idle"];

const $ = (id) => document.getElementById(id);

/**
 * The server's models, and which of them is chosen.
 *
 * models: those of `GET /`; one that isn't in memory keeps the description that it had. If the chosen one isn't
 *   among them, it is there in the state "missing".
 */
export class ModelChoice {
  models = [];
  #name = null;
  #default = null;
  #onChoose;

  /** @param onChoose Called when the user has chosen another model. */
  constructor(onChoose) {
    this.#onChoose = onChoose;
    const name = new URL(location.href).searchParams.get(PARAMETER) ?? "";
    if (NAME.test(name)) {
      this.#remember(name);
    }
    const face = document.createElement("button"); // of a select that can be styled; other browsers ignore it
    face.append(span("model-name", ""));
    $("model").prepend(face);
    $("model").addEventListener("change", () => this.#choose($("model").value));
    $("models").addEventListener("click", (event) => {
      const { model } = event.target.dataset;
      if (model && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
        event.preventDefault();
        this.#choose(model);
        scrollTo(0, 0);
      }
    });
  }

  /** Take what `GET /` says. */
  update({ models, predict }) {
    const known = new Map(this.models.map(({ name, model }) => [name, model]));
    const described = (entry) => ({ ...entry, model: entry.model ?? known.get(entry.name) ?? null });
    this.models = models.map(described);
    const remembered = this.#find(sessionStorage.getItem(MODEL_KEY));
    this.#default = remembered ?? this.models.find((entry) => entry.predict === predict) ?? this.models[0] ?? null;
    if (remembered || ANSWERING.includes(this.#default?.state)) {
      this.#name ??= this.#default.name; // another default later on would ask about all images again
    }
    if (this.#name !== null && !this.#find(this.#name)) {
      this.models.unshift(described({ name: this.#name, state: "missing" }));
    }
  }

  /** The chosen model, or else the default; null if it isn't known, or there is none. */
  get current() {
    return this.#find(this.#name) ?? this.#default;
  }

  /** The name of the model to ask. */
  get name() {
    return this.current?.name ?? this.#name ?? USUAL_NAME;
  }

  /** Whether there are several. */
  get hasChoice() {
    return this.models.length > 1;
  }

  render() {
    $("model-field").hidden = $("models-part").hidden = !this.hasChoice;
    if (this.hasChoice) {
      document.title = `${this.name} · ${t("title")}`;
      this.#renderSelect();
      renderModelList($("models"), this.models, this.name, linkTo);
    }
  }

  /** In place, as it may be open. */
  #renderSelect() {
    const select = $("model");
    this.models.forEach((entry, place) => {
      const option = select.options[place] ?? select.appendChild(emptyOption());
      const [name, dash, state] = option.children;
      option.value = entry.name;
      option.disabled = isRefusing(entry);
      mark(option, entry);
      setText(name, entry.name);
      const isReady = entry.state === "ready"; // which is said by nothing else
      setText(dash, isReady ? "" : " – ");
      setText(state, isReady ? "" : shortened(stateText(entry)));
    });
    select.length = this.models.length;
    select.value = this.name;
    const face = select.querySelector("button");
    mark(face, this.current);
    setText(face.firstChild, this.name);
  }

  #find(name) {
    return this.models.find((entry) => entry.name === name);
  }

  #choose(name) {
    if (name !== this.name) {
      this.#remember(name);
      history.replaceState(null, "", linkTo(name));
      this.#onChoose();
    }
  }

  #remember(name) {
    this.#name = name;
    sessionStorage.setItem(MODEL_KEY, name);
  }
}

function emptyOption() {
  const option = document.createElement("option");
  option.append(span("model-name", ""), span("dash", ""), span("model-state", ""));
  return option;
}

/** The start of a text: in some browsers, an option is a single line. */
function shortened(text) {
  return text.length > LONGEST_STATE ? `${text.slice(0, LONGEST_STATE)}…` : text;
}

/** The page's address with a model. */
function linkTo(name) {
  const url = new URL(location.href);
  url.searchParams.set(PARAMETER, name);
  return url.href;
}
