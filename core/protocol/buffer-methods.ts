declare global {
  // Every Node has these, and @types/node leaves them out; they skip the look-up of an encoding's name.
  interface Buffer {
    latin1Slice(start: number, end: number): string
    utf8Slice(start: number, end: number): string
    latin1Write(text: string, offset: number): number
    utf8Write(text: string, offset: number): number
  }
}

export {}
