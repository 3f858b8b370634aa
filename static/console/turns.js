// The conversation as a list: one entry a turn. Text from anywhere is set as text, never as markup.

/** @param {string} tag @param {string} className @param {string} [text] */
export function element(tag, className, text = '') {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** One turn on the page. */
export class TurnView {
  #words = [];
  #reply = '';

  /** @param {HTMLElement} list */
  constructor(list) {
    this.item = document.createElement('li');
    this.you = element('p', 'you');
    this.steps = element('p', 'steps');
    this.agent = element('p', 'agent');
    this.latency = element('p', 'latency');
    this.item.append(this.you, this.steps, this.agent, this.latency);
    list.append(this.item);
    this.show();
  }

  show() {
    this.item.scrollIntoView({ block: 'end' });
  }

  heard(text, final) {
    this.you.textContent = text || '(no words)';
    this.you.classList.toggle('interim', !final);
    this.show();
  }

  step(text) {
    if (!text) return;
    this.steps.textContent += `${text.replace(/\n$/, '')}\n`;
    this.steps.scrollTop = this.steps.scrollHeight;
    this.show();
  }

  reply(text) {
    this.#reply = text;
    this.agent.textContent = text;
    this.show();
  }

  words(words) {
    this.#words.push(...words);
  }

  /** Mark what was played of the reply. */
  played(ms) {
    let end = 0;
    for (const word of this.#words) {
      if (word.start_ms > ms) break;
      const found = this.#reply.indexOf(word.text, end);
      if (found >= 0) end = found + word.text.length;
    }
    this.agent.replaceChildren(element('span', 'heard', this.#reply.slice(0, end)), this.#reply.slice(end));
  }

  picture(base64, mediaType) {
    const image = document.createElement('img');
    image.src = `data:${mediaType};base64,${base64}`;
    image.alt = 'screenshot of the page';
    this.item.append(image);
    this.show();
  }

  error(text) {
    this.item.append(element('p', 'error', text));
    this.show();
  }

  /** @param {object} message task.confirmation_required @param {(approve: boolean) => void} settle */
  ask(message, settle) {
    const box = element('div', 'ask', `${message.reason} (risk: ${message.risk})`);
    for (const [label, approve] of [['Do it', true], ['Don’t', false]]) {
      const button = element('button', '', label);
      button.type = 'button';
      button.onclick = () => { box.remove(); settle(approve); };
      box.append(button);
    }
    this.item.append(box);
    this.show();
  }

  took(stages) {
    const shown = Object.entries(stages).map(([name, ms]) => `${name} ${Math.round(ms)}`);
    this.latency.textContent = `ms after the end of speech: ${shown.join(' · ')}`;
    this.show();
  }
}
