/**
 * CRC-64/XZ (Go's `crc64.ECMA`), which the mongodump archive keeps per namespace. A 64-bit value is a pair of
 * unsigned 32-bit halves: BigInt arithmetic would be slower than the disk.
 */
export interface Uint64 {
  readonly high: number;
  readonly low: number;
}

const polynomialHigh = 0xc96c5795;
const polynomialLow = 0xd7870f42;

// tables[k * 256 + b]: the register after the byte b and k zero bytes.
const tableHigh = new Uint32Array(8 * 256);
const tableLow = new Uint32Array(8 * 256);
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
  tableHigh[byte] = high;
  tableLow[byte] = low;
}
for (let index = 256; index < 8 * 256; index += 1) {
  const high = tableHigh[index - 256]!;
  const low = tableLow[index - 256]!;
  const byte = low & 0xff;
  tableHigh[index] = (high >>> 8) ^ tableHigh[byte]!;
  tableLow[index] = ((low >>> 8) | (high << 24)) ^ tableLow[byte]!;
}

/**
 * `zeroTables[k]` moves a register over 2^k zero bytes, byte of the register by byte. It makes the CRC of a
 * concatenation out of the CRCs of its parts in constant time, so each document's bytes are read once, not twice.
 */
interface ZeroTable {
  readonly high: Uint32Array;
  readonly low: Uint32Array;
}

const zeroTables: ZeroTable[] = [];

function zeroTable(power: number): ZeroTable {
  for (let next = zeroTables.length; next <= power; next += 1) {
    const high = new Uint32Array(8 * 256);
    const low = new Uint32Array(8 * 256);
    const register = new Uint32Array(2);
    for (let position = 0; position < 8; position += 1) {
      for (let byte = 0; byte < 256; byte += 1) {
        register[0] = position < 4 ? byte << (8 * position) : 0;
        register[1] = position < 4 ? 0 : byte << (8 * (position - 4));
        if (next === 0) {
          const index = register[0] & 0xff;
          const shiftedLow = (register[0] >>> 8) | (register[1] << 24);
          register[1] = (register[1] >>> 8) ^ tableHigh[index]!;
          register[0] = shiftedLow ^ tableLow[index]!;
        } else {
          const half = zeroTables[next - 1]!;
          applyZeroTable(half, register);
          applyZeroTable(half, register);
        }
        low[position * 256 + byte] = register[0];
        high[position * 256 + byte] = register[1];
      }
    }
    zeroTables.push({ high, low });
  }
  return zeroTables[power]!;
}

function applyZeroTable(table: ZeroTable, register: Uint32Array): void {
  const low = register[0]!;
  const high = register[1]!;
  const l = table.low;
  const h = table.high;
  const a = low & 0xff;
  const b = 256 + ((low >>> 8) & 0xff);
  const c = 512 + ((low >>> 16) & 0xff);
  const d = 768 + (low >>> 24);
  const e = 1024 + (high & 0xff);
  const f = 1280 + ((high >>> 8) & 0xff);
  const g = 1536 + ((high >>> 16) & 0xff);
  const i = 1792 + (high >>> 24);
  register[0] = l[a]! ^ l[b]! ^ l[c]! ^ l[d]! ^ l[e]! ^ l[f]! ^ l[g]! ^ l[i]!;
  register[1] = h[a]! ^ h[b]! ^ h[c]! ^ h[d]! ^ h[e]! ^ h[f]! ^ h[g]! ^ h[i]!;
}

/** Runs `register` ([low, high], already inverted) over bytes; slicing-by-8. */
function update(register: Uint32Array, bytes: Uint8Array, start: number, end: number): void {
  let low = register[0]!;
  let high = register[1]!;
  let position = start;
  for (const last = end - 7; position < last; position += 8) {
    low ^= bytes[position]! | (bytes[position + 1]! << 8) | (bytes[position + 2]! << 16) | (bytes[position + 3]! << 24);
    high ^= bytes[position + 4]! | (bytes[position + 5]! << 8) | (bytes[position + 6]! << 16) | (bytes[position + 7]! << 24);
    const a = 1792 + (low & 0xff);
    const b = 1536 + ((low >>> 8) & 0xff);
    const c = 1280 + ((low >>> 16) & 0xff);
    const d = 1024 + (low >>> 24);
    const e = 768 + (high & 0xff);
    const f = 512 + ((high >>> 8) & 0xff);
    const g = 256 + ((high >>> 16) & 0xff);
    const h = high >>> 24;
    low = tableLow[a]! ^ tableLow[b]! ^ tableLow[c]! ^ tableLow[d]! ^ tableLow[e]! ^ tableLow[f]! ^ tableLow[g]! ^ tableLow[h]!;
    high = tableHigh[a]! ^ tableHigh[b]! ^ tableHigh[c]! ^ tableHigh[d]! ^ tableHigh[e]! ^ tableHigh[f]! ^ tableHigh[g]! ^ tableHigh[h]!;
  }
  for (; position < end; position += 1) {
    const index = (low ^ bytes[position]!) & 0xff;
    low = ((low >>> 8) | (high << 24)) ^ tableLow[index]!;
    high = (high >>> 8) ^ tableHigh[index]!;
  }
  register[0] = low;
  register[1] = high;
}

/** Sixteen lower-case hex digits. */
export function formatUint64(value: Uint64): string {
  return (value.high >>> 0).toString(16).padStart(8, '0') + (value.low >>> 0).toString(16).padStart(8, '0');
}

/** Undoes formatUint64. */
export function parseUint64(text: string): Uint64 {
  return { high: Number.parseInt(text.slice(0, 8), 16), low: Number.parseInt(text.slice(8), 16) };
}

/** CRC-64/XZ of bytes that arrive in pieces. */
export class Crc64 {
  private readonly register = new Uint32Array([0xffffffff, 0xffffffff]);

  update(bytes: Uint8Array, start = 0, end = bytes.length): this {
    update(this.register, bytes, start, end);
    return this;
  }

  get value(): Uint64 {
    return { high: ~this.register[1]! >>> 0, low: ~this.register[0]! >>> 0 };
  }

  /** Sixteen lower-case hex digits. */
  hex(): string {
    return formatUint64(this.value);
  }
}

/**
 * What an archive records of one namespace's documents: count, bytes, the CRC-64 of all of them in order (`crc64`)
 * and the sum modulo 2^64 of each one's CRC-64 (`sum`), which does not depend on the order.
 */
export class DocumentSums {
  documents = 0;
  bytes = 0;
  private readonly running = new Uint32Array([0xffffffff, 0xffffffff]);
  private readonly single = new Uint32Array(2);
  private sumHigh = 0;
  private sumLow = 0;

  /** Adds the one document in `bytes[start, end)`. */
  add(bytes: Uint8Array, start = 0, end = bytes.length): void {
    const { running, single } = this;
    const length = end - start;
    single[0] = 0xffffffff;
    single[1] = 0xffffffff;
    update(single, bytes, start, end);
    // CRC is linear: register(r, doc) = register(0, doc) ^ zeros(r, length) and register(0, doc) = single ^ zeros(ones, length),
    // hence register(r, doc) = single ^ zeros(r ^ ones, length).
    running[0] = ~running[0]!;
    running[1] = ~running[1]!;
    for (let power = 0, rest = length; rest > 0; power += 1, rest >>>= 1) {
      if ((rest & 1) !== 0) applyZeroTable(zeroTable(power), running);
    }
    running[0] ^= single[0];
    running[1] ^= single[1];

    const low = this.sumLow + (~single[0] >>> 0);
    this.sumLow = low >>> 0;
    this.sumHigh = (this.sumHigh + (~single[1] >>> 0) + (low > 0xffffffff ? 1 : 0)) >>> 0;
    this.documents += 1;
    this.bytes += length;
  }

  /** Counts a document without summing it; the sums then hold no meaning. */
  count(bytes: number): void {
    this.documents += 1;
    this.bytes += bytes;
  }

  /**
   * Adds every document of a run of whole BSON documents and returns how many there were. The lengths must have been
   * checked: a length that leaves the run throws a RangeError.
   */
  addAll(run: Buffer): number {
    const before = this.documents;
    let position = 0;
    while (position < run.length) {
      const end = position + run.readInt32LE(position);
      if (end < position + 5 || end > run.length) throw new RangeError('Not a run of whole BSON documents');
      this.add(run, position, end);
      position = end;
    }
    return this.documents - before;
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
    return { high: ~this.running[1]! >>> 0, low: ~this.running[0]! >>> 0 };
  }

  /** CRC-64 of all documents in the order of the calls, 16 hex digits. */
  get crc64(): string {
    return formatUint64(this.crc);
  }

  /** Order-free sum of the documents' CRC-64, 16 hex digits. */
  get sum(): string {
    return formatUint64({ high: this.sumHigh, low: this.sumLow });
  }
}
