import { instantiate, pageBytes, place, slices as sliceCount, zeroPowers, zeroTableBytes } from './crc64-module.js';

/**
 * CRC-64/XZ (Go's `crc64.ECMA`), which the mongodump archive keeps per namespace. A 64-bit value is a pair of
 * unsigned 32-bit halves.
 */
export interface Uint64 {
  readonly high: number;
  readonly low: number;
}

const polynomialHigh = 0xc96c5795;
const polynomialLow = 0xd7870f42;
// Small enough to stay in a core's own cache on the way through.
const scratchBytes = 256 * 1024;

/** One for the process: JavaScript never runs two loops at once. */
const module = instantiate(scratchBytes);
let memory = new Uint8Array(module.memory.buffer);
let words = new Uint32Array(module.memory.buffer);
fillSlices();
fillZeros();

/** slices[k * 256 + b]: the register after the byte b and k zero bytes. */
function fillSlices(): void {
  const slices = words.subarray(place.slices / 4);
  for (let byte = 0; byte < 256; byte += 1) {
    let high = 0;
    let low = byte;
    for (let bit = 0; bit < 8; bit += 1) {
      const carry = low & 1;
      low = (low >>> 1) | (high << 31);
      high >>>= 1;
      if (carry !== 0) {
        high ^= polynomialHigh;
        low ^= polynomialLow;
      }
    }
    slices[2 * byte] = low;
    slices[2 * byte + 1] = high;
  }
  for (let index = 256; index < sliceCount * 256; index += 1) {
    const low = slices[2 * (index - 256)]!;
    const high = slices[2 * (index - 256) + 1]!;
    const byte = low & 0xff;
    slices[2 * index] = ((low >>> 8) | (high << 24)) ^ slices[2 * byte]!;
    slices[2 * index + 1] = (high >>> 8) ^ slices[2 * byte + 1]!;
  }
}

/** A table for each power of two, nibble of the register by nibble: made by moving over half as many zero bytes twice. */
function fillZeros(): void {
  for (let power = 0; power < zeroPowers; power += 1) {
    const table = words.subarray((place.zeros + power * zeroTableBytes) / 4);
    for (let index = 0; index < 256; index += 1) {
      const nibble = index >>> 4;
      const value = index & 15;
      setRunning(nibble < 8 ? 0 : value << (4 * (nibble - 8)), nibble < 8 ? value << (4 * nibble) : 0);
      if (power === 0) {
        module.bytes(place.data, place.data + 1);
      } else {
        module.zeros(2 ** (power - 1));
        module.zeros(2 ** (power - 1));
      }
      table[2 * index] = words[place.running / 4]!;
      table[2 * index + 1] = words[place.running / 4 + 1]!;
    }
  }
}

function setRunning(high: number, low: number): void {
  words[place.running / 4] = low;
  words[place.running / 4 + 1] = high;
}

/** Copies bytes to where the module can read them; as many as there is room for. Returns how many. */
function lay(bytes: Uint8Array, start: number, end: number): number {
  const length = Math.min(end - start, memory.length - place.data);
  memory.set(bytes.subarray(start, start + length), place.data);
  return length;
}

function makeRoom(bytes: number): void {
  const missing = place.data + bytes - memory.length;
  if (missing <= 0) return;
  module.memory.grow(Math.ceil(missing / pageBytes));
  memory = new Uint8Array(module.memory.buffer);
  words = new Uint32Array(module.memory.buffer);
}

/** Sixteen lower-case hex digits. */
function formatUint64(value: Uint64): string {
  return (value.high >>> 0).toString(16).padStart(8, '0') + (value.low >>> 0).toString(16).padStart(8, '0');
}

/** Undoes formatUint64. */
export function parseUint64(text: string): Uint64 {
  return { high: Number.parseInt(text.slice(0, 8), 16), low: Number.parseInt(text.slice(8), 16) };
}

/** CRC-64/XZ of bytes that arrive in pieces. */
export class Crc64 {
  private high = 0xffffffff;
  private low = 0xffffffff;

  update(bytes: Uint8Array, start = 0, end = bytes.length): this {
    setRunning(this.high, this.low);
    for (let position = start; position < end; ) {
      const length = lay(bytes, position, end);
      module.bytes(place.data, place.data + length);
      position += length;
    }
    this.low = words[place.running / 4]!;
    this.high = words[place.running / 4 + 1]!;
    return this;
  }

  get value(): Uint64 {
    return { high: ~this.high >>> 0, low: ~this.low >>> 0 };
  }

  /** Sixteen lower-case hex digits. */
  hex(): string {
    return formatUint64(this.value);
  }
}

/** Of a BSON array's element before its document: the type, the digits of its name, a zero byte. */
const longestElementHead = 16;
const largestDocument = 16 * 1024 * 1024 + 16 * 1024;

/**
 * What an archive records of one namespace's documents: count, bytes, the CRC-64 of all of them in order (`crc64`)
 * and the sum modulo 2^64 of each one's CRC-64 (`sum`), which does not depend on the order.
 */
export class DocumentSums {
  documents = 0;
  bytes = 0;
  private runningHigh = 0xffffffff;
  private runningLow = 0xffffffff;
  private sumHigh = 0;
  private sumLow = 0;

  /** Counts documents without summing them; the sums then hold no meaning. */
  count(documents: number, bytes: number): void {
    this.documents += documents;
    this.bytes += bytes;
  }

  /** Adds one document. */
  add(document: Uint8Array): void {
    this.addAll(document);
  }

  /** Adds every document of a run of whole BSON documents and returns how many there were. Throws RangeError for another run. */
  addAll(run: Uint8Array): number {
    return this.sumUp(run, 0, run.length, false);
  }

  /** As `addAll`, of a BSON array of nothing but documents. */
  addArray(array: Uint8Array): number {
    return this.sumUp(array, 4, array.length - 1, true);
  }

  /** Adds what another instance counted, as if its documents had followed these; `crc64` then holds no meaning. */
  mergeUnordered(other: DocumentSums): void {
    const low = this.sumLow + other.sumLow;
    this.sumLow = low >>> 0;
    this.sumHigh = (this.sumHigh + other.sumHigh + (low > 0xffffffff ? 1 : 0)) >>> 0;
    this.documents += other.documents;
    this.bytes += other.bytes;
  }

  get crc(): Uint64 {
    return { high: ~this.runningHigh >>> 0, low: ~this.runningLow >>> 0 };
  }

  /** CRC-64 of all documents in the order of the calls, 16 hex digits. */
  get crc64(): string {
    return formatUint64(this.crc);
  }

  /** Order-free sum of the documents' CRC-64, 16 hex digits. */
  get sum(): string {
    return formatUint64({ high: this.sumHigh, low: this.sumLow });
  }

  private sumUp(bytes: Uint8Array, start: number, end: number, isArray: boolean): number {
    setRunning(this.runningHigh, this.runningLow);
    words[place.sum / 4] = this.sumLow;
    words[place.sum / 4 + 1] = this.sumHigh;
    words[place.count / 4] = 0;
    words[place.bytes / 4] = 0;
    for (let position = start; position < end; ) {
      const laid = lay(bytes, position, end);
      const taken = module.documents(place.data, place.data + laid, isArray ? 1 : 0) - place.data;
      if (taken === 0) {
        if (laid === end - position || memory.length - place.data >= longestElementHead + largestDocument) throw new RangeError('Not a run of whole BSON documents');
        makeRoom(Math.min(2 * laid, longestElementHead + largestDocument));
      }
      position += taken;
    }
    const documents = words[place.count / 4]!;
    this.documents += documents;
    this.bytes += words[place.bytes / 4]!;
    this.runningLow = words[place.running / 4]!;
    this.runningHigh = words[place.running / 4 + 1]!;
    this.sumLow = words[place.sum / 4]!;
    this.sumHigh = words[place.sum / 4 + 1]!;
    return documents;
  }
}
