export default class uPlot {
  static tzDate(date: Date, zone: string): Date;
  readonly width: number;
  constructor(options: unknown, data: unknown, target: HTMLElement);
  setData(data: unknown): void;
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
}
