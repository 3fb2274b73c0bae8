import { IANAZone } from 'luxon';

/** Some three years, far and near. */
const mostDays = 1_000;
const zones = new Map<string, IANAZone>();

/** A zone for Luxon by its IANA name. One that does not exist is not valid, and neither is a DateTime in it. */
export function timeZone(name: string): IANAZone {
  const known = zones.get(name);
  if (known !== undefined) return known;
  const zone = new RememberedZone(name);
  if (zone.isValid) zones.set(name, zone);
  return zone;
}

/** Luxon asks Intl for every offset, several times for each DateTime, which was most of what a list of schedules took. A clock is changed once a day at most, so a day whose ends have the same offset has no other. */
class RememberedZone extends IANAZone {
  private readonly atDay = new Map<number, number>();

  override offset(ts: number): number {
    const day = Math.floor(ts / 86_400_000);
    const offset = this.offsetAtDay(day);
    return offset === this.offsetAtDay(day + 1) ? offset : super.offset(ts);
  }

  private offsetAtDay(day: number): number {
    const known = this.atDay.get(day);
    if (known !== undefined) return known;
    if (this.atDay.size >= mostDays) this.atDay.clear();
    const offset = super.offset(day * 86_400_000);
    this.atDay.set(day, offset);
    return offset;
  }
}
