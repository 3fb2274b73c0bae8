import { pipeline } from 'node:stream/promises';
import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import { stringify } from 'csv-stringify';
import type { Request, Response } from 'express';
import { Access } from '../platform/auth/access.decorator.js';
import type { HistoryRow } from './history-row.js';
import { attachment } from '../platform/http/content-disposition.js';
import { HistoryService } from './history.service.js';

const header = ['Time', 'Type', 'Name', 'File', 'Size in bytes', 'Status', 'User', 'Finished', 'Label', 'Notes', 'Failure'];

/** `/exports/<token>`: the token is all the permission that is needed, once. */
@Controller('exports')
export class ExportsController {
  constructor(private readonly history: HistoryService) {}

  @Access('public')
  @Get(':token')
  async export(@Param('token') token: string, @Req() request: Request, @Res() response: Response): Promise<void> {
    const { slug, rows } = await this.history.openExport(token, request.ip ?? '');
    const day = new Date().toISOString().slice(0, 10);
    response.set({
      'Content-Type': 'text/csv; charset=utf-8',
      'Content-Disposition': attachment(`history_${slug}_${day}.csv`),
      'Cache-Control': 'private, no-store',
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    });
    // A text that a spreadsheet would take for a formula gets an apostrophe; the mark at the beginning tells it that this is UTF-8.
    const csv = stringify({ header: true, columns: header, escape_formulas: true, bom: true, record_delimiter: 'windows' });
    try {
      await pipeline(rows, linesOf, csv, response);
    } catch {
      // Broken off in the middle: the file must not look whole.
      response.destroy();
    }
  }
}

async function* linesOf(rows: AsyncIterable<HistoryRow>): AsyncGenerator<(string | null)[]> {
  for await (const { at, kind, name, fileName, sizeBytes, state, actor, finishedAt, label, notes, failure } of rows) {
    const why = failure?.code === undefined ? null : `${failure.code}: ${failure.message ?? ''}`;
    yield [at.toISOString(), kind, name, fileName, sizeBytes, state, actor?.['email'] ?? actor?.['name'] ?? null, finishedAt?.toISOString() ?? null, label, notes, why];
  }
}
