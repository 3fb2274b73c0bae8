import { Controller, Get, Param, Req, Res } from '@nestjs/common';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Request, Response } from 'express';
import { Access } from '../platform/auth/access.decorator.js';
import { readRange } from './byte-range.js';
import { attachment } from '../platform/http/content-disposition.js';
import type { DownloadEntity } from './download.entity.js';
import { type DownloadFile, DownloadsService, type SpentLink } from './downloads.service.js';
import type { SentRange } from './sent-ranges.js';

/** `/downloads/<token>`: the token is all the permission that is needed. Express answers HEAD by the same route. */
@Controller('downloads')
export class DownloadsController {
  constructor(private readonly downloads: DownloadsService) {}

  @Access('public')
  @Get(':token')
  async download(@Param('token') token: string, @Req() request: Request, @Res() response: Response): Promise<void> {
    const { download, file } = await this.downloads.open(token, request.ip ?? '');
    try {
      const part = partOf(file, request);
      setHeaders(response, file);
      if (part === null) {
        response.status(416).set('Content-Range', `bytes */${file.sizeBytes}`).end();
        return;
      }
      const [start, end] = part.bytes;
      response.status(part.isWhole ? 200 : 206).set('Content-Length', String(end - start));
      if (!part.isWhole) response.set('Content-Range', `bytes ${start}-${end - 1}/${file.sizeBytes}`);
      if (request.method === 'HEAD') {
        response.end();
        return;
      }
      await this.send(response, download, file, part.bytes, request.ip ?? '');
    } finally {
      await file.close();
    }
  }

  private async send(response: Response, download: DownloadEntity, file: DownloadFile, [start, end]: SentRange, address: string): Promise<void> {
    const { downloads } = this;
    const link: { spent: SpentLink | null } = { spent: null };
    let sentEnd = start;
    try {
      await pipeline(
        Readable.from(file.stream(start, end)),
        async function* (chunks: AsyncIterable<Buffer>) {
          for await (const chunk of chunks) {
            if (sentEnd + chunk.length >= end) link.spent = await downloads.spend(download, file, [start, end]);
            yield chunk;
            sentEnd += chunk.length;
          }
        },
        response,
      );
      sentEnd = end;
    } catch {
      // Either side broke off; the connection is closed short of its Content-Length, and the rest may be fetched with a range.
      response.destroy();
    }
    if (link.spent === null) await downloads.noteSent(download, file, [start, sentEnd], address);
    else if (sentEnd === end) await downloads.noteFinished(download, file, address);
    else await downloads.reopen(download, file, link.spent, [start, sentEnd]);
  }
}

interface Part {
  readonly bytes: readonly [start: number, end: number];
  readonly isWhole: boolean;
}

function partOf(file: DownloadFile, request: Request): Part | null {
  const whole: Part = { bytes: [0, file.sizeBytes], isWhole: true };
  if (!file.acceptsRanges) return whole;
  const condition = request.get('if-range');
  if (condition !== undefined && condition !== file.entityTag) return whole;
  const wanted = readRange(request.get('range'), file.sizeBytes);
  switch (wanted.kind) {
    case 'whole':
      return whole;
    case 'unsatisfiable':
      return null;
    case 'part':
      return { bytes: [wanted.range.start, wanted.range.end + 1], isWhole: false };
  }
}

function setHeaders(response: Response, file: DownloadFile): void {
  response.set({
    'Content-Type': file.mediaType,
    'Content-Disposition': attachment(file.fileName),
    ETag: file.entityTag,
    'Accept-Ranges': file.acceptsRanges ? 'bytes' : 'none',
    'Cache-Control': 'private, no-store',
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
  });
}
