import { describe, expect, it } from '@jest/globals';
import { AppError } from '#errors';
import { smallPayload } from '../../test/support/archives.js';
import { binaryFixture } from '../../test/support/fixtures.js';
import { parseHeader } from './dbk1/header.js';
import { bsonToExtendedJson } from './mongodump/bson-to-extended-json.js';
import { extendedJsonToBson } from './mongodump/extended-json-to-bson.js';
import { parseCollectionMetadata } from './mongodump/format.js';
import { MongodumpParser } from './mongodump/parser.js';

const cases = Number(process.env['HOLDFAST_FUZZ_CASES'] ?? 50_000);
const seed = Number(process.env['HOLDFAST_FUZZ_SEED'] ?? 20_260_102);

/** xorshift32: the same cases on every machine. */
class Random {
  private state: number;
  constructor(start: number) {
    this.state = start | 1;
  }
  below(limit: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % limit;
  }
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}

const lengths = [0, 1, 4, 5, 6, 0x7f, 0xff, 0xffff, 0x00ffffff, 0x01000000, 0x01000001, 0x7fffffff, -1, -2, -0x80000000];

function mutate(original: Buffer, random: Random): Buffer {
  let bytes: Buffer = Buffer.from(original);
  for (let edits = 1 + random.below(3); edits > 0 && bytes.length > 8; edits -= 1) {
    const at = random.below(bytes.length);
    const span = 1 + random.below(40);
    switch (random.below(7)) {
      case 0:
        bytes[at]! ^= 1 << random.below(8);
        break;
      case 1:
        bytes[at] = random.below(256);
        break;
      case 2:
        bytes.writeInt32LE(random.pick(lengths), Math.min(at, bytes.length - 4));
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + span)]);
        break;
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at, at + span), bytes.subarray(at)]);
        break;
      case 5:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([255, 255, 255, 255]), bytes.subarray(at)]);
        break;
      default:
        bytes = bytes.subarray(0, at);
    }
  }
  return bytes;
}

/** Runs `body` on mutations of `original`; returns how often it was refused. Anything but an AppError fails the test. */
function fuzz(name: string, original: Buffer, count: number, body: (bytes: Buffer, random: Random) => void): { readonly accepted: number; readonly refused: number } {
  process.stdout.write(`fuzz ${name}: ${count} cases, seed ${seed}\n`);
  const random = new Random(seed);
  let refused = 0;
  for (let index = 0; index < count; index += 1) {
    const bytes = mutate(original, random);
    try {
      body(bytes, random);
    } catch (error) {
      if (!(error instanceof AppError) || !/^ARCHIVE_(?:CORRUPT|TRUNCATED|TOO_LARGE|UNSUPPORTED)$/.test(error.code)) {
        throw new Error(`Case ${index} of seed ${seed} (${bytes.toString('hex')}) failed`, { cause: error });
      }
      refused += 1;
    }
  }
  return { accepted: count - refused, refused };
}

describe('fuzzing', () => {
  it('the mongodump parser refuses or reads, and holds no more than it was given', () => {
    const { payload } = smallPayload(4);
    const heldBefore = process.memoryUsage().arrayBuffers;
    let heldPeak = 0;
    const { refused, accepted } = fuzz('mongodump parser', payload, cases, (bytes, random) => {
      const parser = new MongodumpParser();
      let yielded = 0;
      const chunkBytes = random.pick([1 + random.below(50), 1 + random.below(1000), bytes.length + 1]);
      for (let start = 0; start < bytes.length; start += chunkBytes) {
        for (const event of parser.push(bytes.subarray(start, start + chunkBytes))) {
          if (event.type === 'documents') yielded += event.documents.length;
          else if (event.type === 'prelude') for (const { metadata } of event.collections) parseCollectionMetadata(metadata);
        }
      }
      if (yielded > bytes.length) throw new Error('More was read than was given');
      if (random.below(1000) === 0) heldPeak = Math.max(heldPeak, process.memoryUsage().arrayBuffers - heldBefore);
      parser.end();
    });
    expect(refused).toBeGreaterThan(cases * 0.8);
    expect(accepted).toBeGreaterThan(0);
    expect(heldPeak).toBeLessThan(256 << 20);
  });

  it('the DBK1 header is refused or read', () => {
    const header = binaryFixture('dbk1/vector-gzip.enc').subarray(0, 300);
    const { refused } = fuzz('DBK1 header', header, cases / 5, (bytes) => {
      const { sizeBytes, context } = parseHeader(bytes);
      if (sizeBytes > bytes.length || typeof context.tenant !== 'string') throw new Error('A header reaches beyond its bytes');
    });
    expect(refused).toBeGreaterThan(0);
  });

  it('Extended JSON is refused, or comes back the same', () => {
    const text = Buffer.from('{"v":{"$numberInt":"2"},"key":{"10":{"$numberInt":"1"},"a.b":"2dsphere"},"name":"x","partialFilterExpression":{"$and":[{"t":{"$gt":{"$date":{"$numberLong":"5"}}}},{"n":1.5}]},"b":{"$binary":{"base64":"AQID","subType":"00"}}}');
    fuzz('Extended JSON', text, cases / 5, (bytes) => {
      const bson = extendedJsonToBson(bytes.toString());
      if (!extendedJsonToBson(bsonToExtendedJson(bson)).equals(bson)) throw new Error('The text changed on its way');
    });
  });
});
