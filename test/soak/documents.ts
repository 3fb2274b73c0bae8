import { BSON, BSONRegExp, Binary, Code, Decimal128, type Document, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp } from 'mongodb';
import type { Random } from './random.ts';

const odd: readonly ((random: Random) => unknown)[] = [
  () => Decimal128.fromString('NaN'),
  (random) => Decimal128.fromString(`${random.int(0, 99_999)}.50`),
  () => new Double(-0),
  (random) => Long.fromBigInt(BigInt(random.int(0, 2 ** 31)) << 20n),
  (random) => new Binary(random.bytes(random.int(0, 40))),
  () => new MinKey(),
  () => new MaxKey(),
  () => null,
  () => new BSONRegExp('^a.*b$', 'i'),
  () => new Code('function () { return 1; }'),
  (random) => new Timestamp({ t: random.int(1, 2 ** 31), i: 1 }),
  (random) => ({ at: new Timestamp({ t: 0, i: 0 }), $op: 1, 'a.b': { '': random.int(0, 9) } }),
  (random) => ({ deep: { deeper: [random.int(0, 9), [], {}, 'ö\u{1f4be}'] } }),
  () => [],
];

/**
 * A document of the product. `serial` is not used twice, but for the clashes that a merge must find; `n` counts. The server stores it byte
 * for byte as `BSON.serialize` writes it, `_id` first.
 */
export function newDocument(random: Random, serial: number, _id: unknown = newId(random, serial)): Document {
  const document: Document = { _id, n: new Int32(random.int(0, 1000)), k: new Int32(serial) };
  if (random.chance(0.7)) document['name'] = `name ${random.int(0, 50)}`;
  if (random.chance(0.5)) document['at'] = new Date(1_700_000_000_000 + random.int(0, 1_000_000));
  if (random.chance(0.3)) document['tags'] = Array.from({ length: random.int(0, 4) }, () => `tag ${random.int(0, 9)}`);
  if (random.chance(0.2)) document['place'] = { type: 'Point', coordinates: [random.int(-179, 179), random.int(-89, 89)] };
  if (random.chance(0.5)) document['odd'] = random.pick(odd)(random);
  if (random.chance(0.5)) document['text'] = 'lorem ipsum '.repeat(random.int(0, random.chance(0.05) ? 2000 : 20));
  return document;
}

function newId(random: Random, serial: number): unknown {
  const kind = random.int(0, 2);
  return kind === 0 ? new Int32(serial) : kind === 1 ? `id ${serial}` : new ObjectId(random.bytes(12));
}

export function bytesOf(document: Document): Buffer {
  return Buffer.from(BSON.serialize(document));
}

export function valuesOf(bytes: Buffer): Document {
  return BSON.deserialize(bytes, { promoteValues: false });
}
