// What Gradio leaves out: words for a microphone that may not be used, and a voice for the answer.
(() => {
  const WORDS = {
    NotAllowedError: "The browser may not use the microphone. Allow it in the settings of this page (beside the address), or choose a file instead.",
    NotFoundError: "No microphone was found. Connect one, or choose a file instead.",
    NotReadableError: "The microphone is in use by another program. Close that, or choose a file instead.",
    insecure: "A browser gives the microphone only to pages served over HTTPS or from this computer. Choose a file instead.",
    other: "The microphone could not be started. Choose a file instead.",
  };
  const micProblem = (words) => {
    const at = document.getElementById("jr-mic");
    if (!at) return;
    at.textContent = words || "";
    at.hidden = !words;
  };
  const media = navigator.mediaDevices;
  if (media && media.getUserMedia) {
    const ask = media.getUserMedia.bind(media);
    media.getUserMedia = async (wanted) => {
      try {
        const stream = await ask(wanted);
        micProblem("");
        return stream;
      } catch (error) {
        micProblem(WORDS[error.name] || WORDS.other);
        throw error;
      }
    };
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("#sound button");
    if (!button) return;
    micProblem("");
    if (!media && /record|microphone/i.test(button.getAttribute("aria-label") || button.textContent)) micProblem(WORDS.insecure);
  });

  // A screen reader is told the answer in one sentence, once; on a phone, where it lies below, it is brought into view.
  let last = "";
  const say = () => {
    const answer = document.querySelector("#answer [data-say], #answer [role=alert]");
    const words = answer ? answer.dataset.say || answer.textContent : "";
    if (words === last) return;
    last = words;
    const voice = document.getElementById("jr-said");
    if (voice) voice.textContent = (answer && answer.dataset.say) || ""; // an alert speaks for itself
    if (answer && answer.getBoundingClientRect().top > 0.75 * window.innerHeight) {
      const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
      document.getElementById("answer").scrollIntoView({ behavior: still ? "auto" : "smooth", block: "start" });
    }
  };
  const watch = () => {
    const answer = document.getElementById("answer");
    if (!answer) return setTimeout(watch, 200);
    new MutationObserver(say).observe(answer, { childList: true, subtree: true, characterData: true });
  };
  document.documentElement.lang = "en";
  watch();
})();
