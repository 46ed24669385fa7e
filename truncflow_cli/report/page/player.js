// The slider along s, its marks, and what moves it: play, jumps from event to event, keys.

const WHOLE_RUN = 12000; // milliseconds that playing everything takes at speed 1, if no picture
const LONGEST_LOOK = 400; // stands for longer than this
const PACE = 40; // milliseconds between two pictures
const CALM_STEPS = 12; // still pictures shown instead of motion, a second each, where motion is not wanted
const THUMB = 10; // half of the slider's thumb, in pixels

class Player {
  constructor() {
    for (const id of ["play", "previous", "next", "speed", "axis", "time", "slider", "track", "spoken", "printed"]) {
      this[id] = document.getElementById(id);
    }
    let sum = 0;
    this.upTo = data.events.counts.map(([a, b]) => { sum += a + b; return sum; }); // events up to each shown time
    this.slider.max = String(lastFrame);
    const alone = lastFrame === 0;
    for (const control of [this.play, this.slider, this.speed]) control.disabled = alone;
    this.slider.addEventListener("input", () => choose(Number(this.slider.value)));
    this.play.addEventListener("click", () => (this.timer === undefined ? this.start() : this.stop()));
    this.previous.addEventListener("click", () => choose(this.eventBefore()));
    this.next.addEventListener("click", () => choose(this.eventAfter()));
    this.speed.addEventListener("change", () => this.rebase()); // what was played at another speed stays played
    for (const part of [this.previous, this.next, this.track, find(".key")]) part.toggleAttribute("hidden", !data.events.total);
    this.axis.disabled = !canBeLogarithmic();
    if (this.axis.disabled) chosen.logarithmic = false;
    chosen.listeners.push(() => this.move());
    this.move();
  }

  start() {
    if (chosen.frame === lastFrame) choose(0);
    this.rebase();
    this.play.textContent = "Stop";
    this.calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.tick();
  }

  /** Go on from the chosen time, now. */
  rebase() {
    Object.assign(this, { began: performance.now(), from: chosen.frame, played: chosen.frame });
  }

  tick() {
    if (chosen.frame !== this.played) this.rebase(); // the reader has moved the slider meanwhile
    const pace = Number(this.speed.value) * Math.max(lastFrame / WHOLE_RUN, 1 / LONGEST_LOOK);
    const passed = performance.now() - this.began;
    const frame = this.from + (this.calm ? (Math.floor(passed / 1000) * lastFrame) / CALM_STEPS : passed * pace);
    choose(frame);
    this.played = chosen.frame;
    if (frame >= lastFrame) this.stop();
    else this.timer = setTimeout(() => this.tick(), this.calm ? 1000 : PACE);
  }

  stop() {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.play.textContent = "Play";
    this.spoken.textContent = `Stopped at ${this.sentence()}`;
  }

  sentence() {
    const events = this.upTo[chosen.frame];
    return `s = ${short(data.s[chosen.frame])}, ${events} of ${data.events.total} events so far`;
  }

  /** Return the first frame at or after the next event, the end if there is none. */
  eventAfter() {
    const now = this.upTo[chosen.frame];
    const next = this.upTo.findIndex((many) => many > now);
    return next < 0 ? lastFrame : next;
  }

  /** Return the frame of the last event before the chosen time, the start if there is none. */
  eventBefore() {
    const news = this.upTo.map((many, frame) => frame > 0 && many > this.upTo[frame - 1]);
    return Math.max(0, news.slice(0, chosen.frame).lastIndexOf(true));
  }

  move() {
    this.slider.value = String(chosen.frame);
    this.slider.setAttribute("aria-valuetext", this.sentence());
    this.time.textContent = `s = ${short(data.s[chosen.frame])}`;
    this.printed.textContent = `The pictures are those at ${this.sentence()}.`;
    this.previous.disabled = chosen.frame === 0;
    this.next.disabled = chosen.frame === lastFrame;
  }

  /** Put the marks of events under the slider, where its thumb stands at their time. */
  layout() {
    const width = Math.max(100, this.slider.clientWidth);
    this.track.setAttribute("viewBox", `0 0 ${width} 12`);
    this.track.replaceChildren();
    this.axis.setAttribute("aria-pressed", String(chosen.logarithmic));
    const x = (s) => (THUMB + (lastFrame ? frameAt(s) / lastFrame : 0.5) * (width - 2 * THUMB)).toFixed(1);
    drawRug(this.track, x, 0);
  }
}
