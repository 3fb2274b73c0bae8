import { AppError } from '#errors';

/** Levels of nesting that are followed, in JSON and in BSON. */
export const maxDepth = 200;
/** Far beyond any definition that a server holds. */
const maxValues = 1_000_000;

/**
 * JSON with the order of its keys. Objects of JavaScript move integer-like keys to the front, and the order of an index
 * key or a pipeline has meaning: so no Extended JSON passes through one.
 */
export type JsonValue =
  | { readonly kind: 'object'; readonly entries: readonly (readonly [string, JsonValue])[]; readonly text: string }
  | { readonly kind: 'array'; readonly items: readonly JsonValue[]; readonly text: string }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'literal'; readonly value: boolean | null };

export type JsonObject = Extract<JsonValue, { kind: 'object' }>;

export const malformed = (reason: string): AppError => new AppError('ARCHIVE_CORRUPT', `Extended JSON is malformed: ${reason}`);

class JsonReader {
  private position = 0;
  private values = 0;
  constructor(private readonly text: string) {}

  document(): JsonValue {
    const value = this.value(0);
    this.space();
    if (this.position !== this.text.length) throw malformed('text follows the value');
    return value;
  }

  private space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.position);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.position += 1;
    }
  }

  private take(character: string): boolean {
    this.space();
    if (this.text[this.position] !== character) return false;
    this.position += 1;
    return true;
  }

  private value(depth: number): JsonValue {
    if (depth > maxDepth) throw malformed(`more than ${maxDepth} levels`);
    if ((this.values += 1) > maxValues) throw malformed(`more than ${maxValues} values`);
    this.space();
    const start = this.position;
    const first = this.text[start];
    switch (first) {
      case '{': {
        this.position += 1;
        const entries: (readonly [string, JsonValue])[] = [];
        if (!this.take('}')) {
          do {
            this.space();
            const name = this.string();
            if (!this.take(':')) throw malformed('a colon is missing');
            entries.push([name, this.value(depth + 1)]);
          } while (this.take(','));
          if (!this.take('}')) throw malformed('an object is not closed');
        }
        return { kind: 'object', entries, text: this.text.slice(start, this.position) };
      }
      case '[': {
        this.position += 1;
        const items: JsonValue[] = [];
        if (!this.take(']')) {
          do items.push(this.value(depth + 1));
          while (this.take(','));
          if (!this.take(']')) throw malformed('an array is not closed');
        }
        return { kind: 'array', items, text: this.text.slice(start, this.position) };
      }
      case '"':
        return { kind: 'string', value: this.string() };
      default:
        return this.scalar();
    }
  }

  private string(): string {
    const start = this.position;
    if (this.text[start] !== '"') throw malformed('a string is missing');
    let end = start + 1;
    for (;;) {
      const code = this.text.charCodeAt(end);
      if (Number.isNaN(code) || code < 0x20) throw malformed('a string is not closed');
      if (code === 0x22) break;
      end += code === 0x5c ? 2 : 1;
    }
    this.position = end + 1;
    try {
      return JSON.parse(this.text.slice(start, end + 1)) as string;
    } catch {
      throw malformed('a string holds an unknown escape');
    }
  }

  private scalar(): JsonValue {
    const pattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
    pattern.lastIndex = this.position;
    const text = pattern.exec(this.text)?.[0];
    if (text === undefined) throw malformed('a value is missing');
    this.position += text.length;
    if (text === 'true' || text === 'false') return { kind: 'literal', value: text === 'true' };
    return text === 'null' ? { kind: 'literal', value: null } : { kind: 'number', text };
  }
}

/** Parses one JSON object; keys keep their order, every inner object and array keeps its text. Throws ARCHIVE_CORRUPT. */
export function parseJsonObject(text: string): JsonObject {
  const value = new JsonReader(text).document();
  if (value.kind !== 'object') throw malformed('it is not an object');
  return value;
}

/** The last value under `name`, as JSON itself has it. */
export function jsonField(object: JsonObject, name: string): JsonValue | undefined {
  return object.entries.findLast(([key]) => key === name)?.[1];
}
