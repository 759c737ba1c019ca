/** Drawn stand-ins for cameras and a board, as streams. */

function draw(width: number, height: number, paint: (context: CanvasRenderingContext2D) => void): MediaStream | null {
  if (typeof document === 'undefined') return null
  const canvas = document.createElement('canvas')
  Object.assign(canvas, { width, height })
  const context = canvas.getContext('2d')
  if (!context) return null
  paint(context)
  // A capture gives frames only while something is painted.
  setInterval(() => paint(context), 1000)
  return canvas.captureStream(2)
}

const walls = ['#c9d6cf', '#d8cdbd', '#b9c9d6', '#cfd3c1', '#d3c3c6', '#c3d5d4']
const clothes = ['#2f6f8f', '#b5533c', '#3f7d58', '#7a5a9c', '#c08a2b', '#4a5d70']

export function facePicture(name: string, seed: number): MediaStream | null {
  const isRoom = /班/.test(name)
  return draw(640, 360, (context) => {
    context.fillStyle = walls[seed % walls.length] ?? '#ccc'
    context.fillRect(0, 0, 640, 360)
    context.fillStyle = 'rgb(255 255 255 / 40%)'
    context.fillRect(430, 40, 150, 130)
    const heads = isRoom ? [[110, 150], [220, 140], [330, 150], [440, 140], [540, 150], [160, 240], [280, 235], [400, 240], [510, 238]] : [[320, 160]]
    const size = isRoom ? 30 : 74
    for (const [i, [x = 0, y = 0]] of heads.entries()) {
      context.fillStyle = clothes[(seed + i) % clothes.length] ?? '#456'
      context.beginPath()
      context.ellipse(x, y + size * 2.7, size * 1.8, size * 1.7, 0, 0, Math.PI * 2)
      context.fill()
      context.fillStyle = '#e9c6a4'
      context.beginPath()
      context.arc(x, y, size, 0, Math.PI * 2)
      context.fill()
      context.fillStyle = '#2a211d'
      context.beginPath()
      context.arc(x, y - size * 0.12, size * 1.04, Math.PI * 1.02, Math.PI * 1.98)
      context.fill()
    }
  })
}

export function boardPicture(): MediaStream | null {
  return draw(1920, 1080, (context) => {
    context.fillStyle = '#fdfdfb'
    context.fillRect(0, 0, 1920, 1080)
    context.fillStyle = '#1a2b26'
    context.font = '600 92px "Noto Sans CJK SC", sans-serif'
    context.fillText('三角形的高', 130, 190)
    context.font = '54px "Noto Sans CJK SC", sans-serif'
    context.fillText('从顶点到对边，作一条垂线，', 130, 340)
    context.fillText('顶点和垂足之间的线段叫做高。', 130, 430)
    context.lineWidth = 7
    context.strokeStyle = '#1a2b26'
    context.beginPath()
    context.moveTo(1060, 880)
    context.lineTo(1760, 880)
    context.lineTo(1290, 320)
    context.closePath()
    context.stroke()
    context.strokeStyle = '#d2452f'
    context.setLineDash([18, 14])
    context.beginPath()
    context.moveTo(1290, 320)
    context.lineTo(1290, 880)
    context.stroke()
    context.setLineDash([])
    context.strokeRect(1290, 842, 38, 38)
    context.fillStyle = '#d2452f'
    context.fillText('h', 1320, 640)
    context.fillStyle = '#5d6d66'
    context.fillText('想一想：一个三角形有几条高？', 130, 920)
  })
}
