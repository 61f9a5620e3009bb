// @ts-check
/**
 * Puts a picture without its background on the page.
 *
 * Enters: a playing video whose upper half is colour over black and whose lower half is the alpha matte (white:
 * opaque).
 * Leaves: a canvas of half its height whose empty parts are truly transparent. Does not know the network.
 *
 * Ordinary video has no alpha channel; this is how it travels all the same. WebGL does the work where there
 * is any; a 2D canvas does it pixel by pixel where there is none (and after WebGL was lost).
 */

const VERTEX = `
attribute vec2 corner;
varying vec2 at;
void main() {
  at = vec2(corner.x, 1.0 - corner.y) ;
  gl_Position = vec4(corner * 2.0 - 1.0, 0.0, 1.0);
}`;

// Half a texel is kept from the seam, or the bottom row of colour would bleed into the top row of the matte.
// The colour was drawn over black, so it is multiplied by its alpha already; the coarser colour planes of video
// smear it a little beyond the edge, where it is cut to what the alpha allows.
// Video levels leave "black" a little above 0 and "white" a little below 1; the matte is stretched back.
const FRAGMENT = `
precision mediump float;
uniform sampler2D picture;
uniform float texel;
varying vec2 at;
void main() {
  float y = clamp(at.y * 0.5, texel, 0.5 - texel);
  vec3 colour = texture2D(picture, vec2(at.x, y)).rgb;
  float matte = texture2D(picture, vec2(at.x, y + 0.5)).r;
  float alpha = clamp((matte - 0.04) / 0.92, 0.0, 1.0);
  gl_FragColor = vec4(min(colour, alpha), alpha);
}`;

/** The same stretch of the matte for the 2D path, 0..255 to 0..255. */
const STRETCH = Uint8ClampedArray.from({ length: 256 }, (_, v) => ((v / 255 - 0.04) / 0.92) * 255);

export class Compositor {
  /** @type {"webgl" | "2d"} */
  path = "webgl";
  #stopped = true;
  /** @type {WebGLRenderingContext | null} */
  #gl = null;
  /** @type {CanvasRenderingContext2D | null} */
  #flat = null;
  /** @type {CanvasRenderingContext2D | null} */
  #whole = null;

  /**
   * @param {HTMLVideoElement} video
   * @param {HTMLElement} stage holds the canvas
   * @param {{webgl?: boolean}} [options]
   */
  constructor(video, stage, { webgl = true } = {}) {
    this.video = video;
    this.stage = stage;
    this.canvas = this.#newCanvas();
    if (!webgl || !this.#openWebgl()) this.#openFlat();
  }

  /** Draw every picture the video presents, until stopped. */
  start() {
    if (!this.#stopped) return;
    this.#stopped = false;
    const next = () => {
      if (this.#stopped) return;
      this.draw();
      this.video.requestVideoFrameCallback(next);
    };
    this.video.requestVideoFrameCallback(next);
  }

  stop() {
    this.#stopped = true;
  }

  close() {
    this.stop();
    this.#gl?.getExtension("WEBGL_lose_context")?.loseContext();
    this.canvas.remove();
  }

  /** Draw the picture the video shows now. */
  draw() {
    const width = this.video.videoWidth;
    const height = this.video.videoHeight >> 1;
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    if (this.#gl) this.#drawWebgl(this.#gl, width, height);
    else this.#drawFlat(width, height);
  }

  #newCanvas() {
    const canvas = document.createElement("canvas");
    canvas.setAttribute("part", "canvas");
    canvas.setAttribute("aria-hidden", "true");
    this.stage.append(canvas);
    return canvas;
  }

  #openWebgl() {
    // Drawing is kept between pictures so that a screenshot or a test can read it at any time.
    const gl = this.canvas.getContext("webgl", { alpha: true, premultipliedAlpha: true, preserveDrawingBuffer: true });
    if (!gl) return false;
    const program = gl.createProgram();
    if (!program) return false;
    for (const [kind, source] of /** @type {[number, string][]} */ ([
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ])) {
      const shader = gl.createShader(kind);
      if (!shader) return false;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return false;
    gl.useProgram(program);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([0, 0, 1, 0, 0, 1, 1, 1]), gl.STATIC_DRAW);
    const corner = gl.getAttribLocation(program, "corner");
    gl.enableVertexAttribArray(corner);
    gl.vertexAttribPointer(corner, 2, gl.FLOAT, false, 0, 0);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const [name, value] of [
      [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE],
      [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
      [gl.TEXTURE_MIN_FILTER, gl.LINEAR],
      [gl.TEXTURE_MAG_FILTER, gl.LINEAR],
    ]) {
      gl.texParameteri(gl.TEXTURE_2D, name, value);
    }
    this.#texel = gl.getUniformLocation(program, "texel");
    this.#gl = gl;
    this.canvas.addEventListener("webglcontextlost", () => this.#stopped || this.#openFlat(), { once: true });
    return true;
  }
  /** @type {WebGLUniformLocation | null} */
  #texel = null;

  /** A canvas that once held WebGL cannot hold 2D: begin with a new one. */
  #openFlat() {
    this.path = "2d";
    this.#gl = null;
    this.canvas.remove();
    this.canvas = this.#newCanvas();
    this.#flat = this.canvas.getContext("2d");
    this.#whole = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  }

  /**
   * @param {WebGLRenderingContext} gl
   * @param {number} width
   * @param {number} height
   */
  #drawWebgl(gl, width, height) {
    gl.viewport(0, 0, width, height);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGB, gl.RGB, gl.UNSIGNED_BYTE, this.video);
    gl.uniform1f(this.#texel, 0.5 / (2 * height));
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  #drawFlat(width, height) {
    if (!this.#whole || !this.#flat) return;
    const whole = this.#whole.canvas;
    if (whole.width !== width || whole.height !== 2 * height) {
      whole.width = width;
      whole.height = 2 * height;
    }
    this.#whole.drawImage(this.video, 0, 0, width, 2 * height);
    const picture = this.#whole.getImageData(0, 0, width, height);
    const matte = this.#whole.getImageData(0, height, width, height).data;
    const { data } = picture;
    for (let i = 0; i < data.length; i += 4) {
      const alpha = STRETCH[matte[i]];
      data[i + 3] = alpha;
      if (alpha === 0 || alpha === 255) continue;
      // A 2D canvas takes colours that are not multiplied yet.
      data[i] = (data[i] * 255) / alpha;
      data[i + 1] = (data[i + 1] * 255) / alpha;
      data[i + 2] = (data[i + 2] * 255) / alpha;
    }
    this.#flat.putImageData(picture, 0, 0);
  }
}
