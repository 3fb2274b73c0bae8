import { All, Controller, Param, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { AppError } from '#errors';
import { AppConfig } from '../config/app-config.js';
import { Access } from '../platform/auth/access.decorator.js';
import { UploadReception } from './upload-reception.js';
import type { UploadEntity } from './upload.entity.js';

const version = '1.0.0';
const patchType = 'application/offset+octet-stream';

/**
 * `/uploads/<token>`: the core of the tus protocol 1.0.0 with its extensions termination and expiration. `uploadCreate` has created
 * the upload already, and the token is all the permission that is needed.
 */
@Controller('uploads')
export class UploadsController {
  constructor(
    private readonly config: AppConfig,
    private readonly reception: UploadReception,
  ) {}

  @Access('public')
  @All(':token')
  async answer(@Param('token') token: string, @Req() request: Request, @Res() response: Response): Promise<void> {
    response.set({ 'Tus-Resumable': version, 'Cache-Control': 'no-store', 'Referrer-Policy': 'no-referrer', 'X-Content-Type-Options': 'nosniff' });
    // Proxies that know neither PATCH nor DELETE let them through so.
    const method = request.get('x-http-method-override')?.toUpperCase() ?? request.method;
    if (method === 'OPTIONS') {
      response.status(204).set({ 'Tus-Version': version, 'Tus-Extension': 'termination,expiration', 'Tus-Max-Size': String(this.config.maxUploadBytes) }).end();
      return;
    }
    if (!['HEAD', 'PATCH', 'DELETE'].includes(method)) {
      response.status(405).set('Allow', 'OPTIONS, HEAD, PATCH, DELETE').json({ error: { code: 'BAD_USER_INPUT', message: 'The address takes HEAD, PATCH and DELETE', hint: 'Send the file with a client of the tus protocol' } });
      return;
    }
    if (request.get('tus-resumable') !== version) {
      response.status(412).set('Tus-Version', version).end();
      return;
    }
    const upload = await this.reception.find(token, request.ip ?? '');
    if (method === 'HEAD') await this.head(upload, response);
    else if (method === 'PATCH') await this.patch(upload, request, response);
    else {
      await this.reception.discard(upload);
      response.status(204).end();
    }
  }

  private async head(upload: UploadEntity, response: Response): Promise<void> {
    const received = await this.reception.received(upload);
    response.status(200).set({ 'Upload-Offset': String(received), 'Upload-Length': String(upload.sizeBytes), 'Upload-Expires': upload.expiresAt.toUTCString() }).end();
  }

  private async patch(upload: UploadEntity, request: Request, response: Response): Promise<void> {
    if (request.get('content-type')?.split(';')[0]?.trim().toLowerCase() !== patchType) {
      response.status(415).end();
      return;
    }
    const offset = wholeNumber(request.get('upload-offset'));
    if (offset === null) throw new AppError('BAD_USER_INPUT', 'The header Upload-Offset is missing or is no whole number');
    const length = wholeNumber(request.get('content-length'));
    if (length !== null && offset + length > upload.sizeBytes) throw new AppError('ARCHIVE_TOO_LARGE', `The upload takes ${upload.sizeBytes} bytes in all`);
    const { receivedBytes, brokenOff } = await this.reception.receive(upload, offset, request);
    // Where we gave up, the sender reads why; the rest of what it is sending would only be thrown away.
    if (brokenOff instanceof AppError) {
      response.set('Connection', 'close');
      throw brokenOff;
    }
    if (brokenOff !== null) {
      response.destroy();
      return;
    }
    response.status(204).set({ 'Upload-Offset': String(receivedBytes), 'Upload-Expires': upload.expiresAt.toUTCString() }).end();
  }
}

function wholeNumber(header: string | undefined): number | null {
  if (header === undefined || !/^\d{1,15}$/.test(header)) return null;
  return Number(header);
}
