/**
 * What goes with a row, read once for all who have that very object in hand: subscribers of one operation share each state of it, and come for it at different moments. A row that was read anew
 * is another object, so nothing is older than the row that it is shown with, and nothing outlives it.
 */
export class ReadOnce<Row extends object, Value> {
  private readonly known = new WeakMap<Row, Promise<Value>>();

  constructor(private readonly read: (row: Row) => Promise<Value>) {}

  of(row: Row): Promise<Value> {
    const known = this.known.get(row);
    if (known !== undefined) return known;
    const reading = this.read(row);
    this.known.set(row, reading);
    reading.catch(() => this.known.delete(row));
    return reading;
  }
}
