/**
 * The CRC-64 loops as a WebAssembly module, assembled here: 64-bit registers and tables make them several times as fast as the
 * same loops on pairs of 32-bit numbers. Addresses and lengths are unsigned 32-bit; registers are inverted already.
 */
export interface Crc64Module {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  /** Moves the register at `place.running` over the bytes from `at` to `end`. */
  bytes(at: number, end: number): void;
  /** Moves the register at `place.running` over so many zero bytes. */
  zeros(length: number): void;
  /**
   * Adds the whole BSON documents that begin at `at`, with `isArray` those of a BSON array's elements: to the register at `place.running`, the sum at
   * `place.sum`, their number to `place.count` and their lengths to `place.bytes`. Returns where it stopped: at `end`, or at the first that is not wholly there or is none.
   */
  documents(at: number, end: number, isArray: number): number;
}

/** `data` is free for whoever calls. */
export const place = { running: 0, sum: 8, count: 16, bytes: 20, slices: 1 << 10, zeros: 3 << 14, data: 2 << 16 } as const;
export const pageBytes = 1 << 16;
/** The largest document has 2^24 bytes and a little. */
export const zeroPowers = 25;
/** 16 nibbles of a register, 16 values each. */
export const zeroTableBytes = 16 * 16 * 8;
/** 16 tables, one for each place in what a step takes. */
export const slices = 16;
const sliceBytes = 256 * 8;

/** The types of the language know of it only together with those of a browser. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

type Code = readonly number[];

const i32 = 0x7f;
const i64 = 0x7e;
const nothing = 0x40;

const unsigned = (value: number): Code => (value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >>> 7)]);
const signed = (value: number): Code => (value >= -64 && value < 64 ? [value & 127] : [(value & 127) | 128, ...signed(value >> 7)]);
const list = (items: readonly Code[]): Code => [...unsigned(items.length), ...items.flat()];
const sized = (code: Code): Code => [...unsigned(code.length), ...code];
const text = (value: string): Code => sized([...Buffer.from(value)]);

const get = (local: number): Code => [0x20, ...unsigned(local)];
const set = (local: number, value: Code): Code => [...value, 0x21, ...unsigned(local)];
const int = (value: number): Code => [0x41, ...signed(value)];
const long = (value: number): Code => [0x42, ...signed(value)];
const call = (index: number, ...values: readonly Code[]): Code => [...values.flat(), 0x10, ...unsigned(index)];
const loop = (...code: readonly Code[]): Code => [0x03, nothing, ...code.flat(), 0x0b];
const block = (...code: readonly Code[]): Code => [0x02, nothing, ...code.flat(), 0x0b];
const when = (condition: Code, ...code: readonly Code[]): Code => [...condition, 0x04, nothing, ...code.flat(), 0x0b];
const branch = (depth: number): Code => [0x0c, depth];
const branchIf = (depth: number, condition: Code): Code => [...condition, 0x0d, depth];

const binary = (operation: number) => (left: Code, right: Code): Code => [...left, ...right, operation];
const equal = binary(0x46);
const differ = binary(0x47);
const below = binary(0x49);
const above = binary(0x4b);
const add = binary(0x6a);
const subtract = binary(0x6b);
const and = binary(0x71);
const shiftLeft = binary(0x74);
const shiftRight = binary(0x76);
const addLong = binary(0x7c);
const xorLong = binary(0x85);
const shiftRightLong = binary(0x88);
/** In pairs, so that none waits for all before it. */
const xorAll = (values: readonly Code[]): Code => {
  const [first = [], second] = values;
  return second === undefined ? first : xorAll([...values.slice(2), xorLong(first, second)]);
};
const wrap = (value: Code): Code => [...value, 0xa7];
const extend = (value: Code): Code => [...value, 0xad];

const loadLong = (address: Code, offset = 0): Code => [...address, 0x29, 0, ...unsigned(offset)];
const loadInt = (address: Code): Code => [...address, 0x28, 0, 0];
const loadByte = (address: Code): Code => [...address, 0x2d, 0, 0];
const storeLong = (offset: number, value: Code): Code => [...int(0), ...value, 0x37, 0, ...unsigned(offset)];
const storeInt = (offset: number, value: Code): Code => [...int(0), ...value, 0x36, 0, ...unsigned(offset)];

const numbers = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index);
/** The entry of an 8-byte table that the bits of `register` from `bit` on choose. */
const entry = (table: number, register: Code, bit: number, bits: number): Code => {
  const low = wrap(bit < 3 ? register : shiftRightLong(register, long(bit - 3)));
  return loadLong(and(bit < 3 ? shiftLeft(low, int(3 - bit)) : low, int(((1 << bits) - 1) << 3)), table);
};

// (register, at, end) -> register; sixteen bytes a step, by a table for each.
const crc = 0;
const crcCode = ((): Code => {
  const [register, at, end, next] = [0, 1, 2, 3];
  const eight = (local: number, bytesAfter: number): readonly Code[] =>
    numbers(8).map((byte) => entry(place.slices + (7 - byte + bytesAfter) * sliceBytes, get(local), 8 * byte, 8));
  return [
    ...block(
      loop(
        branchIf(1, below(subtract(get(end), get(at)), int(16))),
        set(register, xorLong(get(register), loadLong(get(at)))),
        set(next, loadLong(get(at), 8)),
        set(register, xorLong(xorAll(eight(next, 0)), xorAll(eight(register, 8)))),
        set(at, add(get(at), int(16))),
        branch(0),
      ),
    ),
    ...when(
      above(subtract(get(end), get(at)), int(7)),
      set(register, xorLong(get(register), loadLong(get(at)))),
      set(register, xorAll(eight(register, 0))),
      set(at, add(get(at), int(8))),
    ),
    ...block(
      loop(
        branchIf(1, equal(get(at), get(end))),
        set(register, xorLong(shiftRightLong(get(register), long(8)), entry(place.slices, xorLong(get(register), extend(loadByte(get(at)))), 0, 8))),
        set(at, add(get(at), int(1))),
        branch(0),
      ),
    ),
    ...get(register),
  ];
})();

// (register, length) -> register; a table for each power of two.
const zeros = 1;
const zerosCode = ((): Code => {
  const [register, length, table] = [0, 1, 2];
  const nibbles = numbers(16).map((nibble) => {
    const low = wrap(shiftRightLong(get(register), long(4 * nibble)));
    return loadLong(add(get(table), shiftLeft(and(low, int(15)), int(3))), place.zeros + nibble * 128);
  });
  return [
    ...block(
      loop(
        branchIf(1, equal(get(length), int(0))),
        when(and(get(length), int(1)), set(register, xorAll(nibbles))),
        set(table, add(get(table), int(zeroTableBytes))),
        set(length, shiftRight(get(length), int(1))),
        branch(0),
      ),
    ),
    ...get(register),
  ];
})();

const bytesCode = storeLong(place.running, call(crc, loadLong(int(0), place.running), get(0), get(1)));
const moveCode = storeLong(place.running, call(zeros, loadLong(int(0), place.running), get(0)));

const documentsCode = ((): Code => {
  const [at, end, isArray, start, length, count, bytes, running, sum, single] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  return [
    ...set(running, loadLong(int(0), place.running)),
    ...set(sum, loadLong(int(0), place.sum)),
    ...block(
      loop(
        set(start, get(at)),
        // Past the type and the name of the element.
        when(
          get(isArray),
          branchIf(2, equal(get(end), get(start))),
          branchIf(2, differ(loadByte(get(start)), int(3))),
          loop(set(start, add(get(start), int(1))), branchIf(3, equal(get(end), get(start))), branchIf(0, loadByte(get(start)))),
          set(start, add(get(start), int(1))),
        ),
        branchIf(1, below(subtract(get(end), get(start)), int(5))),
        set(length, loadInt(get(start))),
        branchIf(1, below(get(length), int(5))),
        branchIf(1, above(get(length), subtract(get(end), get(start)))),
        set(at, add(get(start), get(length))),
        // CRC is linear: register(r, document) = register(ones, document) ^ zeros(r ^ ones, length). So each byte is read once, not twice.
        set(single, call(crc, long(-1), get(start), get(at))),
        set(running, xorLong(call(zeros, xorLong(get(running), long(-1)), get(length)), get(single))),
        set(sum, addLong(get(sum), xorLong(get(single), long(-1)))),
        set(count, add(get(count), int(1))),
        set(bytes, add(get(bytes), get(length))),
        branch(0),
      ),
    ),
    ...storeLong(place.running, get(running)),
    ...storeLong(place.sum, get(sum)),
    ...storeInt(place.count, add(loadInt(int(place.count)), get(count))),
    ...storeInt(place.bytes, add(loadInt(int(place.bytes)), get(bytes))),
    ...get(at),
  ];
})();

interface Part {
  readonly parameters: Code;
  readonly results: Code;
  readonly locals: Code;
  readonly code: Code;
  readonly name: string | null;
}

const parts: readonly Part[] = [
  { parameters: [i64, i32, i32], results: [i64], locals: [i64], code: crcCode, name: null },
  { parameters: [i64, i32], results: [i64], locals: [i32], code: zerosCode, name: null },
  { parameters: [i32, i32], results: [], locals: [], code: bytesCode, name: 'bytes' },
  { parameters: [i32], results: [], locals: [], code: moveCode, name: 'zeros' },
  { parameters: [i32, i32, i32], results: [i32], locals: [i32, i32, i32, i32, i64, i64, i64], code: documentsCode, name: 'documents' },
];

/** A new module with so many bytes at `place.data`; its tables are still empty. */
export function instantiate(dataBytes: number): Crc64Module {
  const pages = Math.ceil((place.data + dataBytes) / pageBytes);
  const section = (id: number, items: readonly Code[]): Code => [id, ...sized(list(items))];
  const named = parts.flatMap(({ name }, index) => (name === null ? [] : [[...text(name), 0x00, ...unsigned(index)]]));
  const program = new WebAssembly.Module(
    Uint8Array.from([
      ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
      ...section(1, parts.map(({ parameters, results }) => [0x60, ...sized(parameters), ...sized(results)])),
      ...section(3, parts.map((_, index) => unsigned(index))),
      ...section(5, [[0x00, ...unsigned(pages)]]),
      ...section(7, [...named, [...text('memory'), 0x02, 0x00]]),
      ...section(10, parts.map(({ locals, code }) => sized([...list(locals.map((type) => [1, type])), ...code, 0x0b]))),
    ]),
  );
  return new WebAssembly.Instance(program).exports as Crc64Module;
}
