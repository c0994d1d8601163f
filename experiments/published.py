"""Figures that papers published, as docs/results/synthesis.md shows them: at 256 x 256 and full width."""

from typing import Final

Figures = dict[str, float]
Rows = dict[str, Figures]

METHODS: Final[dict[tuple[str, str, str], Rows]] = {
    ("cufs", "photo", "sketch"): {
        "RSLCR": {"nlda": 0.984},
        "FCN": {"fsim": 0.6936, "ssim": 0.5214, "fid": 80.97},
        "PS2MAN": {"fsim": 0.7091, "ssim": 0.4783, "fid": 94.43},
        "KT": {"fsim": 0.7373, "lpips-alex": 0.2297},
        "KD+": {"fsim": 0.7350, "lpips-alex": 0.1971},
        "CycleGAN": {"fsim": 0.6829, "ssim": 0.4638, "fid": 58.394, "lpips-alex": 0.2776},
        "Pix2Pix": {"fsim": 0.7356, "ssim": 0.5172, "fid": 44.272, "lpips-alex": 0.1654},
        "DRIT": {"fsim": 0.7138, "ssim": 0.4568, "fid": 54.02},
        "U-GAT-IT": {"fsim": 0.7580, "ssim": 0.5055, "fid": 34.93},
        "MSG-SARL": {"fsim": 0.7594, "ssim": 0.5288, "fid": 46.39},
        "MDAL": {"fsim": 0.7275, "ssim": 0.5280},
        "Col-cGAN": {"ssim": 0.5244},
        "SCA-GAN": {"fsim": 0.716, "fid": 34.2},
        "SDGAN": {"fsim": 0.7446, "ssim": 0.5360, "fid": 33.408, "lpips-alex": 0.1444},
    },
    ("cufs", "sketch", "photo"): {
        "PS2MAN": {"fsim": 0.6451, "ssim": 0.4259, "fid": 182.51},
        "Pix2pix": {"fsim": 0.7678, "fid": 73.43, "lpips-alex": 0.1981, "nlda": 0.9332},
        "CycleGAN": {"fsim": 0.7682, "fid": 71.81, "lpips-alex": 0.1876, "nlda": 0.8729},
        "DualGAN": {"fsim": 0.7716, "fid": 70.65, "lpips-alex": 0.2112, "nlda": 0.9237},
        "SCA-GAN": {"fsim": 0.7764, "fid": 60.72, "lpips-alex": 0.1790, "nlda": 0.9061},
        "CHAN": {"fsim": 0.7781, "fid": 41.44, "lpips-alex": 0.1788, "nlda": 0.8779},
        "DRIT": {"fsim": 0.7025, "ssim": 0.4642, "fid": 65.52},
        "U-GAT-IT": {"fsim": 0.75955, "ssim": 0.5664, "fid": 54.65},
        "MSG-SARL": {"fsim": 0.7866, "ssim": 0.6242, "fid": 66.71},
        "ISEGAN": {"fsim": 0.7802, "fid": 58.30, "lpips-alex": 0.1668, "nlda": 0.9402},
    },
    ("fs2k", "photo", "sketch"): {
        "Pix2pix": {"fid": 18.34, "lpips": 0.304, "scoot": 0.493, "fsim": 0.541},
        "Pix2PixHD": {"fid": 32.03, "lpips": 0.468, "scoot": 0.374, "fsim": 0.531},
        "CycleGAN": {"fid": 26.49, "lpips": 0.505, "scoot": 0.348, "fsim": 0.501},
        "MDAL": {"fid": 50.18, "lpips": 0.492, "scoot": 0.355, "fsim": 0.530},
        "SCA-GAN": {"fid": 39.63, "lpips": 0.305, "scoot": 0.600, "fsim": 0.782},
        "FSGAN": {"fid": 34.88, "lpips": 0.483, "scoot": 0.405, "fsim": 0.610},
        "GENRE": {"fid": 20.67, "lpips": 0.302, "scoot": 0.483, "fsim": 0.534},
        "HIDA": {"fid": 15.06, "lpips": 0.263, "scoot": 0.575, "fsim": 0.551},
    },
}
"""By data set, source and target. SDGAN's Table 1, ISEGAN's Table 1, MSG-SARL's Tables IV and VI, HIDA's Table 1;
RSLCR's as it is commonly quoted. HIDA does not say by which network its LPIPS is: it stands as ``lpips``."""

ABLATIONS: Final[dict[tuple[str, str], Rows]] = {
    ("sdgan", "photo"): {
        "M": {"fsim": 0.7376, "ssim": 0.5145, "fid": 42.367, "lpips-alex": 0.1581},
        "M + S": {"fsim": 0.7411, "ssim": 0.5286, "fid": 41.048, "lpips-alex": 0.1570},
        "M + S + AR": {"fsim": 0.7421, "ssim": 0.5306, "fid": 34.275, "lpips-alex": 0.1529},
        "M + S + AR + perceptual": {"fsim": 0.7433, "ssim": 0.5330, "fid": 32.040, "lpips-alex": 0.1467},
        "M + S + AR + perceptual + BCE": {"fsim": 0.7446, "ssim": 0.5360, "fid": 33.408, "lpips-alex": 0.1444},
    },
    ("isegan", "sketch"): {
        "Base": {"fsim": 0.7480, "fid": 85.96, "lpips-alex": 0.2624, "nlda": 0.7872},
        "Base + L_per": {"fsim": 0.7683, "fid": 65.04, "lpips-alex": 0.2093, "nlda": 0.8684},
        "Base + L_per + L_cmp": {"fsim": 0.7753, "fid": 59.53, "lpips-alex": 0.1742, "nlda": 0.9170},
        "Base + L_per + L_cmp + L_PM": {"fsim": 0.7775, "fid": 61.42, "lpips-alex": 0.1715, "nlda": 0.9253},
        "full model (stage-I output)": {"fsim": 0.7801, "fid": 64.34, "lpips-alex": 0.1757, "nlda": 0.9330},
        "full model (stage-II output)": {"fsim": 0.7802, "fid": 58.30, "lpips-alex": 0.1668, "nlda": 0.9402},
    },
    ("msg-sarl", "photo"): {
        "backbone": {"fsim": 0.7558, "ssim": 0.4953},
        "backbone w/ MSG": {"fsim": 0.7574, "ssim": 0.5029},
        "backbone w/ Self-Attention": {"fsim": 0.7536, "ssim": 0.5180},
        "MSG-SARL w/o MSG": {"fsim": 0.7563, "ssim": 0.5251},
        "MSG-SARL w/o Cycle": {"fsim": 0.7562, "ssim": 0.5075},
        "MSG-SARL w/o Self-Attention": {"fsim": 0.7580, "ssim": 0.5048},
        "MSG-SARL": {"fsim": 0.7594, "ssim": 0.5288},
    },
    ("msg-sarl", "sketch"): {
        "MSG-SARL w/o MSG": {"fsim": 0.7836, "ssim": 0.6156},
        "MSG-SARL w/o Self-Attention": {"fsim": 0.7779, "ssim": 0.5900},
        "MSG-SARL": {"fsim": 0.7866, "ssim": 0.6242},
    },
    ("hida", "photo"): {
        "Base (Model-A)": {"fid": 18.34, "lpips": 0.304, "scoot": 0.493, "fsim": 0.541},
        "+ Depth (Model-B)": {"fid": 20.1, "lpips": 0.307, "scoot": 0.489, "fsim": 0.543},
        "+ DySPADE (Model-C)": {"fid": 18.30, "lpips": 0.298, "scoot": 0.479, "fsim": 0.539},
        "metaACON": {"fid": 19.05, "lpips": 0.292, "scoot": 0.498, "fsim": 0.541},
        "+ InfoACON (Model-D)": {"fid": 17.41, "lpips": 0.291, "scoot": 0.493, "fsim": 0.536},
        "+ DOG (full)": {"fid": 15.06, "lpips": 0.263, "scoot": 0.575, "fsim": 0.551},
    },
}
"""By method and source, rows by the names in the method's ``rows``. SDGAN's Table 2, ISEGAN's Table 2, MSG-SARL's
Table II, HIDA's Table 2 and the table of activations beside its Figure 9; its settings of DOG have no published
figures. DeepFacePencil's table is of inception scores and FID alone."""
