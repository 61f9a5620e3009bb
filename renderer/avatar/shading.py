"""The shaders: skinning and all lighting per vertex, one texture fetch per pixel, none on plain cloth.

On software GL a pixel is dear and a vertex is cheap. Light is computed in linear colour with the material's
own colour, tone-mapped there, and divided by that colour again, so that the pixel's work is texture * light +
shine. Spheres along both arms lit_by soft shadows on body and face: they show how far a hand is in front.
"""

SPHERES = 10
"""Shadow casters: five along each arm."""

VERTEX = """#version 330
layout(std140) uniform Bones { vec4 bone[177]; };
uniform mat4 projection;
uniform vec3 eye;
uniform vec3 colours[6];
uniform vec4 spheres[%(spheres)d];
in vec3 point; in vec3 normal; in vec2 uv; in uvec4 joints; in vec4 weights; in vec4 surface;
%(out)s
const vec3 KEY = vec3(-0.3877, 0.5600, 0.7323), FILL = vec3(0.8456, 0.1409, 0.5168), BACK = vec3(0.3273,
0.4208, -0.8460);

vec3 tone(vec3 c) {  // linear to display, with a soft shoulder
    c = max(c, 0.0) * 0.92;
    c = c * (1.0 + c * 0.12) / (1.0 + c * 0.62);
    return pow(c, vec3(1.0 / 2.2));
}

float shadow(vec3 at, float arm) {
    float open = 1.0;
    for (int i = 0; i < %(spheres)d; i++) {
        if (abs(arm - (i < %(half)d ? 1.0 : 2.0)) < 0.5) continue;  // an arm does not shade itself
        vec3 to = spheres[i].xyz - at;
        float along = dot(to, KEY);
        float r = spheres[i].w, away = length(to - KEY * along);
        float wide = r + 0.35 * max(along, 0.0);
        float hit = (1.0 - smoothstep(r * 0.3, wide + 0.01, away)) * smoothstep(0.0, 0.03, along);
        open *= 1.0 - hit * 0.55 * r / wide * (r / wide);
    }
    return open;
}

void main() {
    int a = int(joints.x) * 3, b = int(joints.y) * 3, c = int(joints.z) * 3, d = int(joints.w) * 3;
    vec4 r0 = bone[a] * weights.x + bone[b] * weights.y + bone[c] * weights.z + bone[d] * weights.w;
    vec4 r1 = bone[a+1] * weights.x + bone[b+1] * weights.y + bone[c+1] * weights.z + bone[d+1] * weights.w;
    vec4 r2 = bone[a+2] * weights.x + bone[b+2] * weights.y + bone[c+2] * weights.z + bone[d+2] * weights.w;
    vec4 p = vec4(point, 1.0);
    vec3 at = vec3(dot(r0, p), dot(r1, p), dot(r2, p));
    vec3 n = normalize(vec3(dot(r0.xyz, normal), dot(r1.xyz, normal), dot(r2.xyz, normal)));
    gl_Position = projection * vec4(at, 1.0);
    int material = int(surface.x * 255.0 + 0.5);
    float open = surface.y, arm = surface.z * 255.0;
    vec3 v = normalize(eye - at), h = normalize(KEY + v);
    float facing = clamp(dot(n, v), 0.0, 1.0), key = dot(n, KEY), lit_by = shadow(at, arm);
    float grazing = 1.0 - facing, fill = clamp(dot(n, FILL) * 0.8 + 0.2, 0.0, 1.0);
    float rim = grazing * grazing * grazing * clamp(dot(n, BACK) * 0.7 + 0.3, 0.0, 1.0);
    vec3 colour = colours[material], lit, extra = vec3(0.0);
    if (material == 0) {  // skin: red light wraps further round, contours darken so that fingers part
        vec3 wrap = vec3(0.38, 0.22, 0.16);
        vec3 direct = clamp((vec3(key) + wrap) / (1.0 + wrap), 0.0, 1.0) * mix(vec3(lit_by), vec3(1.0),
        vec3(0.20, 0.08, 0.05)); vec3 hollow = pow(vec3(open), vec3(0.75, 1.05, 1.15));
        vec3 around = mix(vec3(0.24, 0.20, 0.19), vec3(0.40, 0.42, 0.45), n.y * 0.5 + 0.5) * hollow;
        float contour = 1.0 - %(contour).2f * grazing * grazing;
        lit = (around + 1.55 * vec3(1.0, 0.965, 0.91) * direct + 0.34 * vec3(0.80, 0.88, 1.0) * fill
            * hollow) * contour;
        float gloss = pow(clamp(dot(n, h), 0.0, 1.0), 24.0);
        extra = (0.07 * gloss * lit_by * clamp(key * 4.0, 0.0, 1.0) + 0.10 * rim * open)
            * vec3(0.95, 0.97, 1.0);
    } else if (material == 1) {  // cloth
        vec3 around = mix(vec3(0.20), vec3(0.42, 0.44, 0.47), n.y * 0.5 + 0.5) * open;
        lit = 0.8 * around + 1.15 * clamp((key + 0.15) / 1.15, 0.0, 1.0) * mix(lit_by, 1.0, 0.12) + 0.38
            * vec3(0.85, 0.92, 1.0) * fill * open;
        extra = (0.02 + 0.25 * colour) * grazing * grazing * open * clamp(0.5 + n.y, 0.0, 1.0) + 0.06 * rim;
    } else if (material == 2) {  // hair
        vec3 strand = normalize(vec3(0.0, 1.0, 0.15) - n * dot(vec3(0.0, 1.0, 0.15), n));
        float along = dot(strand, h);
        float band = pow(sqrt(max(0.0, 1.0 - along * along)), 40.0) * clamp(key + 0.4, 0.0, 1.0);
        lit = vec3(0.42) * open + 1.25 * clamp((key + 0.3) / 1.3, 0.0, 1.0) * mix(lit_by, 1.0, 0.2)
            * (0.5 + 0.5 * open) + 0.3 * fill * open;
        extra = (0.10 * band * (0.4 + colour) + 0.05 * rim) * open;
    } else if (material == 3) {  // eyes: shaded by the lid above
        lit = vec3(0.50 + 0.85 * clamp(key * 0.6 + 0.4, 0.0, 1.0)) * (0.35 + 0.65 * open) * lit_by;
    } else {
        lit = vec3(0.25 + 0.9 * clamp(key * 0.7 + 0.3, 0.0, 1.0)) * mix(0.25, 1.0, min(open * 1.2, 1.0))
            * lit_by;
    }
    %(end)s
}
"""

_TEXTURED = """vec3 base = tone(colour * lit);
    light = base / pow(colour, vec3(1.0 / 2.2));
    shine = tone(colour * lit + extra) - base;
    place = uv;"""
_PLAIN = "light = tone(colour * lit + extra);"

FRAGMENT = """#version 330
in vec3 light; in vec3 shine; in vec2 place;
uniform sampler2D picture;
out vec4 colour;
void main() {
    colour = vec4(texture(picture, place).rgb * light + shine, 1.0);
}
"""

PLAIN_FRAGMENT = """#version 330
in vec3 light;
out vec4 colour;
void main() { colour = vec4(light, 1.0); }
"""

BACKDROP_VERTEX = """#version 330
in vec2 corner; in vec3 tint;
out vec3 shade;
void main() { shade = tint; gl_Position = vec4(corner, 1.0, 1.0); }
"""

BACKDROP_FRAGMENT = """#version 330
in vec3 shade;
out vec4 colour;
void main() { colour = vec4(shade, 1.0); }
"""


def vertex_source(contour: float = 0.38, textured: bool = True) -> str:
    """textured False: for surfaces of their material's own colour, and `PLAIN_FRAGMENT`.

    Triangles are small, so their insides are interpolated without perspective, which is cheaper."""
    out = ["vec3 light", "vec3 shine", "vec2 place"] if textured else ["vec3 light"]
    return VERTEX % {
        "spheres": SPHERES,
        "half": SPHERES // 2,
        "contour": contour,
        "out": " ".join(f"out {name};" for name in out),
        "end": _TEXTURED if textured else _PLAIN,
    }
