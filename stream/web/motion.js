// @ts-check
/**
 * Motion frames as numbers: what the `motion` channel carries, for pages that draw their own signer.
 *
 * Enters: the bytes of one frame (stream/PROTOCOL.md, version 1). Leaves: a `MotionFrame`. Does not know channels.
 */

const VERSION = 1;
const LENGTHS = { pose: 120, hands: 96, smplx: 165, expression: 52 };

/**
 * @typedef {object} MotionFrame
 * @property {number} seq frame number
 * @property {bigint} pts_ns presentation time on the server's monotonic clock
 * @property {number} gloss running index of the gloss being performed, -1 when idle or in transition
 * @property {Float32Array} pose [60, 2] keypoints; unit shoulder width, origin mid-shoulder, y down
 * @property {Float32Array} hands [2, 16, 3] MANO axis-angle, radians, left then right
 * @property {Float32Array} smplx [55, 3] SMPL-X axis-angle, radians
 * @property {Float32Array} expression [52] face units, 0..1
 */

/**
 * The frame in `buffer`. Throws RangeError on another version and on bytes that are not a frame.
 * @param {ArrayBuffer} buffer
 * @returns {MotionFrame}
 */
export function decodeMotion(buffer) {
  const view = new DataView(buffer);
  if (view.byteLength < 2 || view.getUint8(0) !== VERSION) {
    throw new RangeError(`motion frame: got version ${view.byteLength ? view.getUint8(0) : "none"}, this page speaks ${VERSION}; reload it`);
  }
  const reader = { view, at: 1 };
  const tag = view.getUint8(reader.at++);
  if (tag !== 0x98) throw new RangeError("motion frame: expected an array of 8 entries");
  const seq = Number(integer(reader));
  const pts_ns = integer(reader);
  const gloss = Number(integer(reader));
  const width = Number(integer(reader));
  const [pose, hands, smplx, expression] = Object.entries(LENGTHS).map(([name, length]) => floats(reader, name, length, width));
  return { seq, pts_ns, gloss, pose, hands, smplx, expression };
}

/** @typedef {{view: DataView, at: number}} Reader */

/** One msgpack integer of any width. @param {Reader} reader @returns {bigint} */
function integer(reader) {
  const { view } = reader;
  const tag = view.getUint8(reader.at++);
  if (tag < 0x80) return BigInt(tag);
  if (tag >= 0xe0) return BigInt(tag - 256);
  const from = reader.at;
  const bytes = [1, 2, 4, 8][(tag - 0xcc) & 3];
  reader.at += bytes;
  switch (tag) {
    case 0xcc: return BigInt(view.getUint8(from));
    case 0xcd: return BigInt(view.getUint16(from));
    case 0xce: return BigInt(view.getUint32(from));
    case 0xcf: return view.getBigUint64(from);
    case 0xd0: return BigInt(view.getInt8(from));
    case 0xd1: return BigInt(view.getInt16(from));
    case 0xd2: return BigInt(view.getInt32(from));
    case 0xd3: return view.getBigInt64(from);
    default: throw new RangeError(`motion frame: expected an integer, got msgpack type ${tag}`);
  }
}

/** @param {Reader} reader @param {string} name @param {number} length @param {number} width */
function floats(reader, name, length, width) {
  const { view } = reader;
  const tag = view.getUint8(reader.at++);
  if (tag !== 0xc4 && tag !== 0xc5) throw new RangeError(`motion frame: ${name} is not binary`);
  const bytes = tag === 0xc4 ? view.getUint8(reader.at) : view.getUint16(reader.at);
  const from = reader.at + (tag === 0xc4 ? 1 : 2);
  if (bytes !== length * width || (width !== 2 && width !== 4)) {
    throw new RangeError(`motion frame: ${name} is ${bytes} bytes, expected ${length} values of 2 or 4`);
  }
  reader.at = from + bytes;
  return Float32Array.from({ length }, (_, i) =>
    width === 4 ? view.getFloat32(from + 4 * i, true) : half(view.getUint16(from + 2 * i, true)),
  );
}

/** A float16 from its bits (frames hold finite values only). @param {number} bits */
function half(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const size = exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024);
  return bits & 0x8000 ? -size : size;
}
