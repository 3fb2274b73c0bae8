/** How much may go on at once for one holder, and for all of them together. Of this process alone. */
export class Slots {
  private readonly taken = new Map<string, number>();
  private total = 0;

  constructor(
    private readonly perHolder: number,
    private readonly inAll = Infinity,
  ) {}

  /** How to give the slot back, which may be called again; null where there is none left. */
  take(holder: string): (() => void) | null {
    const count = this.taken.get(holder) ?? 0;
    if (count >= this.perHolder || this.total >= this.inAll) return null;
    this.taken.set(holder, count + 1);
    this.total += 1;
    let isHeld = true;
    return () => {
      if (isHeld) this.giveBack(holder);
      isHeld = false;
    };
  }

  private giveBack(holder: string): void {
    const left = (this.taken.get(holder) ?? 1) - 1;
    if (left === 0) this.taken.delete(holder);
    else this.taken.set(holder, left);
    this.total -= 1;
  }
}
