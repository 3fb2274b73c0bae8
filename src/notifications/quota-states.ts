import type { AlertSeverity } from '../alerts/alert-event.js';

export interface QuotaState {
  /** Names the condition for as long as it lasts. */
  readonly subject: string;
  readonly severity: AlertSeverity;
  readonly isOn: boolean;
  readonly percent: number;
}

/** The two warnings, at 80 and at 95 %: each is given once, and again only after it was over. */
export function quotaStates(usedBytes: number, quotaBytes: number | null): readonly QuotaState[] {
  const percent = quotaBytes === null ? 0 : quotaBytes === 0 ? 100 : Math.floor((usedBytes / quotaBytes) * 100);
  return [
    { subject: 'quota-80', severity: 'WARNING', isOn: percent >= 80, percent },
    { subject: 'quota-95', severity: 'ERROR', isOn: percent >= 95, percent },
  ];
}
