export default class uPlot {
  static tzDate(date: Date, zone: string): Date;
  static paths: { stepped(options: { align: 1 | -1 }): unknown };
  readonly width: number;
  readonly ctx: CanvasRenderingContext2D;
  readonly bbox: { left: number; top: number; width: number; height: number };
  valToPos(value: number, scale: string, inCanvasPixels: boolean): number;
  constructor(options: unknown, data: unknown, target: HTMLElement);
  setData(data: unknown): void;
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
}
