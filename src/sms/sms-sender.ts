/** Sends short messages. What they say is never logged: it may hold a code. */
export abstract class SmsSender {
  /** Why none can be sent, as a sentence for people; null where they can. */
  abstract readonly unavailable: string | null;

  /**
   * Resolves when the provider has taken it over.
   *
   * @param to in E.164
   * @throws AppError SMS_FAILED, SMS_NOT_CONFIGURED
   */
  abstract send(to: string, text: string): Promise<void>;
}
