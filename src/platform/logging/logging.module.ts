import { Module } from '@nestjs/common';
import { LoggerModule } from 'nestjs-pino';
import { redact } from '#errors';
import { AppConfig } from '../../config/app-config.js';
import { redactFields } from './redact-fields.js';

/** Logs as JSON lines on standard output. Nest's `Logger` writes here: `logger.warn({ msg, tenantId, operationId, err })`. */
@Module({
  imports: [
    LoggerModule.forRootAsync({
      inject: [AppConfig],
      useFactory: (config: AppConfig) => ({
        pinoHttp: {
          level: config.logLevel,
          base: { role: config.role },
          autoLogging: false,
          quietReqLogger: true,
          // Wrapped, it would get errors with everything that drivers hang on them.
          wrapSerializers: false,
          serializers: { err: (error: unknown) => redactFields(error) },
          formatters: {
            level: (label: string) => ({ level: label }),
            log: (fields: Record<string, unknown>) => {
              const { req: _request, ...rest } = fields;
              return redactFields(rest) as Record<string, unknown>;
            },
          },
          hooks: {
            logMethod(args, method) {
              method.apply(this, args.map((arg: unknown) => (typeof arg === 'string' ? redact(arg) : arg)) as Parameters<typeof method>);
            },
          },
        },
      }),
    }),
  ],
})
export class LoggingModule {}
