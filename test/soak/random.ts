/** Chances that come again with the same seed. Each step has its own, so that a step does not hang on what earlier ones drew. */
export class Random {
  private state: number;

  constructor(seed: number, step = 0) {
    this.state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(step + 1, 0x85ebca6b)) >>> 0;
    for (let round = 0; round < 4; round += 1) this.next();
  }

  /** In [0, 1); mulberry32. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number in [from, to]. */
  int(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(from: readonly T[]): T {
    const found = this.find(from);
    if (found === undefined) throw new Error('There is nothing to pick from');
    return found;
  }

  find<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.next() * from.length)];
  }

  /** Some of them, at least one if there is one. */
  some<T>(from: readonly T[], most = from.length): T[] {
    const left = [...from];
    const wanted = Math.min(left.length, this.int(1, Math.max(1, most)));
    return Array.from({ length: wanted }, () => left.splice(Math.floor(this.next() * left.length), 1)).flat();
  }

  weighted<T extends string>(weights: Readonly<Record<T, number>>): T {
    const entries = Object.entries(weights) as [T, number][];
    let rest = this.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [name, weight] of entries) {
      rest -= weight;
      if (rest < 0) return name;
    }
    return this.pick(entries)[0];
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.int(0, 255)));
  }
}
