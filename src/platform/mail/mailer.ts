import { Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { createTransport, type Transporter } from 'nodemailer';
import { AppError, redact } from '#errors';
import { AppConfig } from '../../config/app-config.js';

export interface Mail {
  /** One address. */
  readonly to: string;
  readonly subject: string;
  /** Plain text. */
  readonly text: string;
}

const connectMs = 10_000;
const silenceMs = 20_000;

/** Sends e-mail over the SMTP server of HOLDFAST_SMTP_URL. What it says is never logged here: it may hold a code. */
@Injectable()
export class Mailer implements OnApplicationShutdown {
  private readonly logger = new Logger(Mailer.name);
  private readonly transport: Transporter | null;
  private readonly from: string;

  constructor({ mail }: AppConfig) {
    this.from = mail?.from ?? '';
    this.transport =
      mail === null ? null : createTransport({ url: mail.smtpUrl, pool: true, maxConnections: 2, connectionTimeout: connectMs, greetingTimeout: connectMs, socketTimeout: silenceMs, disableFileAccess: true, disableUrlAccess: true });
  }

  get isConfigured(): boolean {
    return this.transport !== null;
  }

  /**
   * Resolves when the server has taken it over.
   *
   * @throws AppError MAIL_NOT_CONFIGURED, MAIL_FAILED
   */
  async send({ to, subject, text }: Mail): Promise<void> {
    if (this.transport === null) throw new AppError('MAIL_NOT_CONFIGURED', 'No mail server is configured');
    try {
      await this.transport.sendMail({ from: this.from, to: { name: '', address: to }, subject, text });
    } catch (cause) {
      if (!(cause instanceof Error && 'response' in cause)) this.logger.warn({ msg: 'The mail server cannot be reached', err: cause });
      throw new AppError('MAIL_FAILED', `The mail server did not take the message: ${reasonOf(cause)}`, { cause });
    }
  }

  onApplicationShutdown(): void {
    this.transport?.close();
  }
}

/** The server's own answer. Where there is none, what the network said is for the log: it names addresses that are the provider's business. */
function reasonOf(error: unknown): string {
  const response = error instanceof Error && 'response' in error && typeof error.response === 'string' ? error.response : null;
  return response === null ? 'it cannot be reached' : (redact(response).split('\n')[0] ?? '');
}
